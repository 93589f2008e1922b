//! CodeCommit: repositories by name, their branches, and the commits that pushes brought. The git side (objects, refs,
//! transport) is `crate::git`, which hands what a push changed to `record`. Must not run git nor touch files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events;
use crate::clock::{self, Millis};
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Region, Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "BatchGetRepositories",
    "CreateRepository",
    "DeleteRepository",
    "GetBranch",
    "GetCommit",
    "GetRepository",
    "ListBranches",
    "ListRepositories",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
    "UpdateDefaultBranch",
    "UpdateRepositoryDescription",
    "UpdateRepositoryEncryptionKey",
];

/// The service's state in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub(crate) repositories: BTreeMap<String, Repository>,
}

/// One repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Repository {
    /// Also the name of the folder with the git objects: a repository made anew under an old name starts empty.
    pub(crate) id: String,
    description: Option<String>,
    pub(crate) default_branch: Option<String>,
    created: Millis,
    modified: Millis,
    key: Option<String>,
    pub(crate) tags: Tags,
    /// Full reference names, such as `refs/heads/main`, with what they point at.
    pub(crate) references: BTreeMap<String, String>,
    /// The commits that pushes brought.
    commits: BTreeMap<String, CommitFacts>,
    /// The commits that branches pointed at after a push, newest last, at most [`KEPT_HEADS`].
    heads: Vec<Commit>,
}

/// Who wrote a commit, and when: `1767225600 +0000`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// Seconds since 1970 and the time zone.
    pub date: String,
}

/// What `GetCommit` tells of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitFacts {
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
}

/// A commit that a branch pointed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Forty hex digits.
    pub id: String,
    /// The message's first line.
    pub message: String,
    /// Who wrote it.
    pub author: Person,
    /// The tree, as a zip.
    pub zip: crate::runtime::Content,
}

/// A reference that a push made, moved or took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// `refs/heads/main`, `refs/tags/v1`.
    pub(crate) reference: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// What a push brought.
#[derive(Debug, Default)]
pub(crate) struct Push {
    pub(crate) changes: Vec<Change>,
    pub(crate) commits: BTreeMap<String, CommitFacts>,
    pub(crate) heads: Vec<Commit>,
}

/// How many pushed heads keep their tree, so that an execution can be started with an older commit. Each is a zip in
/// the saved state, which is why it isn't all of them.
const KEPT_HEADS: usize = 20;

/// CodeCommit's page of repositories or branches. The API page gives no number; this is what it was seen to return.
const PAGE: usize = 1000;

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "BatchGetRepositories" => batch_get_repositories(world, call),
        "CreateRepository" => create_repository(world, call),
        "DeleteRepository" => delete_repository(world, call),
        "GetBranch" => get_branch(world, call),
        "GetCommit" => get_commit(world, call),
        "GetRepository" => get_repository(world, call),
        "ListBranches" => list_branches(world, call),
        "ListRepositories" => list_repositories(world, call),
        "ListTagsForResource" => list_tags_for_resource(world, call),
        "TagResource" => tag_resource(world, call),
        "UntagResource" => untag_resource(world, call),
        "UpdateDefaultBranch" => update_default_branch(world, call),
        "UpdateRepositoryDescription" => update_repository_description(world, call),
        "UpdateRepositoryEncryptionKey" => update_repository_encryption_key(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// The newest commit of a branch.
pub(crate) fn head(world: &World, region: &str, repository: &str, branch: &str) -> Option<Commit> {
    let repository = find(world, region, repository)?;
    let id = repository.references.get(&branch_reference(branch))?;
    repository
        .heads
        .iter()
        .find(|commit| commit.id == *id)
        .cloned()
}

/// A commit that a branch pointed at after some push, if its tree is still kept.
pub(crate) fn pushed(
    world: &World,
    region: &str,
    repository: &str,
    commit: &str,
) -> Option<Commit> {
    find(world, region, repository)?
        .heads
        .iter()
        .find(|head| head.id == commit)
        .cloned()
}

/// The tags of a repository.
pub(crate) fn tags(region: &Region, name: &str) -> Option<Tags> {
    Some(region.codecommit.repositories.get(name)?.tags.clone())
}

/// Whether there is such a repository.
pub(crate) fn exists(world: &World, region: &str, repository: &str) -> bool {
    find(world, region, repository).is_some()
}

/// A repository by name.
pub(crate) fn find<'a>(world: &'a World, region: &str, name: &str) -> Option<&'a Repository> {
    world.regions.get(region)?.codecommit.repositories.get(name)
}

/// Takes over what a push brought, and tells the account by events. The first branch becomes the default one, as in CodeCommit.
pub(crate) fn record(world: &mut World, region: &str, name: &str, push: Push) {
    let now = world.now;
    let arn = world.arn("codecommit", region, name);
    let Some(repository) = world.at(region).codecommit.repositories.get_mut(name) else {
        return;
    };
    for change in &push.changes {
        match &change.new {
            Some(new) => repository
                .references
                .insert(change.reference.clone(), new.clone()),
            None => repository.references.remove(&change.reference),
        };
    }
    repository.commits.extend(push.commits);
    for head in push.heads {
        repository.heads.retain(|kept| kept.id != head.id);
        repository.heads.push(head);
    }
    trim_heads(repository);
    repository.modified = now;
    if repository.default_branch.is_none() {
        let first = push
            .changes
            .iter()
            .find_map(|change| change.new.as_ref().and(branch_name(&change.reference)));
        repository.default_branch = first.map(ToOwned::to_owned);
    }
    let id = repository.id.clone();
    for change in &push.changes {
        if let Some(detail) = event_detail(name, &id, change) {
            events::emit(
                world,
                region,
                "aws.codecommit",
                "CodeCommit Repository State Change",
                std::slice::from_ref(&arn),
                &detail,
            );
        }
    }
}

/// A branch's newest commit is never dropped, however many came after it on other branches.
fn trim_heads(repository: &mut Repository) {
    let mut surplus = repository.heads.len().saturating_sub(KEPT_HEADS);
    let references = &repository.references;
    repository.heads.retain(|head| {
        let drop = surplus > 0 && !references.values().any(|id| *id == head.id);
        surplus -= usize::from(drop);
        !drop
    });
}

/// The event's detail, as the EventBridge reference of CodeCommit has it.
fn event_detail(name: &str, id: &str, change: &Change) -> Option<Value> {
    let (kind, short) = match (
        branch_name(&change.reference),
        change.reference.strip_prefix("refs/tags/"),
    ) {
        (Some(branch), _) => ("branch", branch),
        (None, Some(tag)) => ("tag", tag),
        (None, None) => return None,
    };
    let event = match (&change.old, &change.new) {
        (None, _) => "referenceCreated",
        (Some(_), Some(_)) => "referenceUpdated",
        (Some(_), None) => "referenceDeleted",
    };
    let mut detail = json!({
        "event": event,
        "repositoryName": name,
        "repositoryId": id,
        "referenceType": kind,
        "referenceName": short,
        "referenceFullName": change.reference,
    });
    if let Some(new) = &change.new {
        detail["commitId"] = json!(new);
    }
    if let Some(old) = &change.old {
        detail["oldCommitId"] = json!(old);
    }
    Some(detail)
}

fn branch_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("refs/heads/")
}

fn branch_reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn create_repository(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = repository_name(call)?.to_owned();
    let description = description(call)?;
    let key = encryption_key(call)?;
    let tags = tags_given(call, "tags")?;
    if find(world, &call.region, &name).is_some() {
        return Err(Fault::new(
            "RepositoryNameExistsException",
            format!("Repository named {name} already exists"),
        ));
    }
    let (id, now) = (world.uuid(), world.now);
    let repository = Repository {
        id,
        description,
        default_branch: None,
        created: now,
        modified: now,
        key,
        tags,
        references: BTreeMap::new(),
        commits: BTreeMap::new(),
        heads: Vec::new(),
    };
    world
        .at(&call.region)
        .codecommit
        .repositories
        .insert(name.clone(), repository);
    get(world, &call.region, &name)
        .map(|metadata| Reply::Value(json!({ "repositoryMetadata": metadata })))
}

fn get_repository(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let metadata = get(world, &call.region, repository_name(call)?)?;
    Ok(Reply::Value(json!({ "repositoryMetadata": metadata })))
}

fn batch_get_repositories(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("repositoryNames");
    if names.is_empty() {
        return Err(Fault::new(
            "RepositoryNamesRequiredException",
            "At least one repository name is required.",
        ));
    }
    if names.len() > 100 {
        let message = "The maximum number of repository names is 100.";
        return Err(Fault::new(
            "MaximumRepositoryNamesExceededException",
            message,
        ));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match get(world, &call.region, valid_name(&name)?) {
            Ok(metadata) => found.push(metadata),
            Err(_) => missing.push(name),
        }
    }
    Ok(Reply::Value(
        json!({ "repositories": found, "repositoriesNotFound": missing }),
    ))
}

fn list_repositories(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let by_date = match call.input.text("sortBy") {
        None | Some("repositoryName") => false,
        Some("lastModifiedDate") => true,
        Some(_) => {
            return Err(Fault::new(
                "InvalidSortByException",
                "The sort by value is not valid.",
            ));
        }
    };
    let descending = match call.input.text("order") {
        None | Some("ascending") => false,
        Some("descending") => true,
        Some(_) => {
            return Err(Fault::new(
                "InvalidOrderException",
                "The sort order is not valid.",
            ));
        }
    };
    let mut all: Vec<(&String, &Repository)> = world
        .at(&call.region)
        .codecommit
        .repositories
        .iter()
        .collect();
    if by_date {
        all.sort_by_key(|(_, repository)| repository.modified);
    }
    if descending {
        all.reverse();
    }
    let pair = |(name, repository): &(&String, &Repository)| json!({ "repositoryName": name, "repositoryId": repository.id });
    let all: Vec<Value> = all.iter().map(pair).collect();
    listing(call, "repositories", &all)
}

fn update_repository_description(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let description = description(call)?;
    let repository = find_mut(world, &call.region, repository_name(call)?)?;
    repository.description = description;
    touch(world, call);
    Ok(Reply::Value(Value::Null))
}

fn update_repository_encryption_key(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let key = encryption_key(call)?.ok_or_else(|| {
        Fault::new(
            "EncryptionKeyRequiredException",
            "A KMS encryption key is required.",
        )
    })?;
    let repository = find_mut(world, &call.region, repository_name(call)?)?;
    let original = repository.key.replace(key.clone());
    let mut answer = json!({ "repositoryId": repository.id, "kmsKeyId": key });
    if let Some(original) = original {
        answer["originalKmsKeyId"] = json!(original);
    }
    touch(world, call);
    Ok(Reply::Value(answer))
}

fn update_default_branch(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = repository_name(call)?;
    let branch = branch_needed(call, "defaultBranchName")?.to_owned();
    let repository = find_mut(world, &call.region, name)?;
    branch_commit(repository, &branch)?;
    repository.default_branch = Some(branch);
    touch(world, call);
    Ok(Reply::Value(Value::Null))
}

/// Deleting what isn't there is no error: the answer then names no id.
fn delete_repository(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = repository_name(call)?;
    let gone = world.at(&call.region).codecommit.repositories.remove(name);
    Ok(Reply::Value(gone.map_or_else(
        || json!({}),
        |repository| json!({ "repositoryId": repository.id }),
    )))
}

fn get_branch(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let repository = find_mut(world, &call.region, repository_name(call)?)?;
    let branch = branch_needed(call, "branchName")?;
    let commit = branch_commit(repository, branch)?;
    Ok(Reply::Value(
        json!({ "branch": { "branchName": branch, "commitId": commit } }),
    ))
}

fn list_branches(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let repository = find_mut(world, &call.region, repository_name(call)?)?;
    let branches: Vec<Value> = repository
        .references
        .keys()
        .filter_map(|name| branch_name(name))
        .map(|name| json!(name))
        .collect();
    listing(call, "branches", &branches)
}

fn get_commit(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let repository = find_mut(world, &call.region, repository_name(call)?)?;
    let id = call.input.text("commitId").filter(|id| !id.is_empty());
    let id =
        id.ok_or_else(|| Fault::new("CommitIdRequiredException", "A commit ID is required."))?;
    if id.len() != 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Fault::new(
            "InvalidCommitIdException",
            format!("{id} is not a valid commit ID."),
        ));
    }
    let facts = repository.commits.get(id);
    let facts = facts.ok_or_else(|| {
        Fault::new(
            "CommitIdDoesNotExistException",
            format!("Commit {id} does not exist"),
        )
    })?;
    Ok(Reply::Value(json!({ "commit": {
        "commitId": id,
        "treeId": facts.tree,
        "parents": facts.parents,
        "message": facts.message,
        "author": facts.author,
        "committer": facts.committer,
        "additionalData": "",
    } })))
}

fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = tags_given(call, "tags")?;
    let name = resource_name(world, call)?;
    let repository = find_mut(world, &call.region, &name)?;
    let mut all = repository.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "The maximum number of tags for a repository is 50.",
        ));
    }
    repository.tags = all;
    Ok(Reply::Value(Value::Null))
}

fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("tagKeys");
    if keys.is_empty() {
        return Err(Fault::new(
            "TagKeysListRequiredException",
            "A list of tag keys is required.",
        ));
    }
    let name = resource_name(world, call)?;
    find_mut(world, &call.region, &name)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(Value::Null))
}

fn list_tags_for_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = resource_name(world, call)?;
    Ok(Reply::Value(
        json!({ "tags": find_mut(world, &call.region, &name)?.tags }),
    ))
}

/// The metadata as every answer has it. The clone addresses are AWS's own; the sandbox's is `/v1/repos/NAME` on its own port,
/// which only the one who started the server knows.
fn get(world: &World, region: &str, name: &str) -> Result<Value, Fault> {
    let repository = find(world, region, name).ok_or_else(|| missing(name))?;
    let mut metadata = json!({
        "accountId": world.account,
        "repositoryId": repository.id,
        "repositoryName": name,
        "lastModifiedDate": clock::seconds(repository.modified),
        "creationDate": clock::seconds(repository.created),
        "cloneUrlHttp": format!("https://git-codecommit.{region}.amazonaws.com/v1/repos/{name}"),
        "cloneUrlSsh": format!("ssh://git-codecommit.{region}.amazonaws.com/v1/repos/{name}"),
        "Arn": world.arn("codecommit", region, name),
    });
    let optional = [
        ("repositoryDescription", &repository.description),
        ("defaultBranch", &repository.default_branch),
        ("kmsKeyId", &repository.key),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            metadata[member] = json!(value);
        }
    }
    Ok(metadata)
}

fn find_mut<'a>(
    world: &'a mut World,
    region: &str,
    name: &str,
) -> Result<&'a mut Repository, Fault> {
    world
        .at(region)
        .codecommit
        .repositories
        .get_mut(name)
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Fault {
    Fault::new(
        "RepositoryDoesNotExistException",
        format!("{name} does not exist"),
    )
}

fn touch(world: &mut World, call: &Call) {
    let now = world.now;
    if let Some(repository) = call
        .input
        .text("repositoryName")
        .and_then(|name| world.at(&call.region).codecommit.repositories.get_mut(name))
    {
        repository.modified = now;
    }
}

fn repository_name(call: &Call) -> Result<&str, Fault> {
    let name = call
        .input
        .text("repositoryName")
        .filter(|name| !name.is_empty());
    valid_name(name.ok_or_else(|| {
        Fault::new(
            "RepositoryNameRequiredException",
            "A repository name is required.",
        )
    })?)
}

/// `[\w\.-]{1,100}`, and not ending in `.git` (AWS.md §2).
fn valid_name(name: &str) -> Result<&str, Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.len() <= 100 && name.chars().all(legal) && !name.ends_with(".git") {
        return Ok(name);
    }
    let message = format!(
        "The repository name {name} is not valid. Repository names can be any valid combination of letters, numbers, periods, \
         underscores, and dashes between 1 and 100 characters in length, and must not end in .git."
    );
    Err(Fault::new("InvalidRepositoryNameException", message))
}

fn description(call: &Call) -> Result<Option<String>, Fault> {
    let description = call.input.text("repositoryDescription");
    if description.is_some_and(|text| text.chars().count() > 1000) {
        let message = "The repository description must be at most 1000 characters long.";
        return Err(Fault::new("InvalidRepositoryDescriptionException", message));
    }
    Ok(description
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned))
}

fn encryption_key(call: &Call) -> Result<Option<String>, Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '_' | '-');
    match call.input.text("kmsKeyId") {
        Some(key) if key.is_empty() || !key.chars().all(legal) => Err(Fault::new(
            "EncryptionKeyInvalidIdException",
            format!("{key} is not a valid KMS key ID."),
        )),
        key => Ok(key.map(ToOwned::to_owned)),
    }
}

fn branch_needed<'a>(call: &'a Call, member: &str) -> Result<&'a str, Fault> {
    let name = call.input.text(member).filter(|name| !name.is_empty());
    let name = name
        .ok_or_else(|| Fault::new("BranchNameRequiredException", "A branch name is required."))?;
    if name.len() > 256 || name.starts_with("refs/") || name.contains([' ', '~', '^', ':']) {
        return Err(Fault::new(
            "InvalidBranchNameException",
            format!("{name} is not a valid branch name."),
        ));
    }
    Ok(name)
}

fn branch_commit(repository: &Repository, branch: &str) -> Result<String, Fault> {
    let commit = repository
        .references
        .get(&branch_reference(branch))
        .cloned();
    commit.ok_or_else(|| {
        Fault::new(
            "BranchDoesNotExistException",
            format!("Branch {branch} does not exist"),
        )
    })
}

fn tags_given(call: &Call, member: &str) -> Result<Tags, Fault> {
    let tags = call
        .input
        .get(member)
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let tags: Tags = tags
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if tags.keys().any(|key| key.starts_with("aws:")) {
        return Err(Fault::new(
            "InvalidSystemTagUsageException",
            "Tag keys must not begin with aws:.",
        ));
    }
    let legal = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
    };
    if !tags.iter().all(legal) {
        return Err(Fault::new(
            "InvalidTagsMapException",
            "The map of tags is not valid.",
        ));
    }
    if tags.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "The maximum number of tags for a repository is 50.",
        ));
    }
    Ok(tags)
}

fn resource_name(world: &World, call: &Call) -> Result<String, Fault> {
    let arn = call.input.text("resourceArn").filter(|arn| !arn.is_empty());
    let arn = arn.ok_or_else(|| {
        Fault::new(
            "ResourceArnRequiredException",
            "A resource ARN is required.",
        )
    })?;
    let prefix = world.arn("codecommit", &call.region, "");
    arn.strip_prefix(&prefix)
        .map(ToOwned::to_owned)
        .ok_or_else(|| {
            Fault::new(
                "InvalidResourceArnException",
                format!("{arn} is not the ARN of a repository of this account and Region."),
            )
        })
}

fn listing(call: &Call, member: &str, items: &[Value]) -> Result<Reply, Fault> {
    // The order is the caller's, so the key is the position.
    let keyed = items
        .iter()
        .cloned()
        .enumerate()
        .map(|(index, item)| (format!("{index:08}"), item));
    let cut = page(keyed, call.input.text("nextToken"), PAGE).ok_or_else(|| {
        Fault::new(
            "InvalidContinuationTokenException",
            "The continuation token is not valid.",
        )
    })?;
    let mut answer = json!({ member: cut.items });
    if let Some(next) = cut.next {
        answer["nextToken"] = json!(next);
    }
    Ok(Reply::Value(answer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use crate::testing::{REGION, call, sandbox};

    async fn error(operation: &str, input: Value) -> String {
        let sandbox = sandbox();
        call(
            &sandbox,
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        call(&sandbox, "codecommit", operation, input)
            .await
            .unwrap_err()
            .1
    }

    #[tokio::test(start_paused = true)]
    async fn a_repository_is_made_described_and_deleted() {
        let sandbox = sandbox();
        let input = json!({ "repositoryName": "web", "repositoryDescription": "d", "kmsKeyId": "k", "tags": { "a": "1" } });
        let made = call(&sandbox, "codecommit", "CreateRepository", input)
            .await
            .unwrap()["repositoryMetadata"]
            .clone();
        assert_eq!(
            made["Arn"],
            "arn:aws:codecommit:eu-central-1:111122223333:web"
        );
        assert_eq!(
            made["cloneUrlHttp"],
            "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/web"
        );
        assert_eq!(made["kmsKeyId"], "k");
        let name = json!({ "repositoryName": "web" });
        let have = call(&sandbox, "codecommit", "GetRepository", name.clone())
            .await
            .unwrap();
        assert_eq!(have["repositoryMetadata"], made);
        let arn = json!({ "resourceArn": made["Arn"] });
        let mut tag = arn.clone();
        tag["tags"] = json!({ "b": "2" });
        call(&sandbox, "codecommit", "TagResource", tag)
            .await
            .unwrap();
        let mut untag = arn.clone();
        untag["tagKeys"] = json!(["a"]);
        call(&sandbox, "codecommit", "UntagResource", untag)
            .await
            .unwrap();
        assert_eq!(
            call(&sandbox, "codecommit", "ListTagsForResource", arn)
                .await
                .unwrap(),
            json!({ "tags": { "b": "2" } })
        );
        let update = json!({ "repositoryName": "web", "repositoryDescription": "e" });
        call(
            &sandbox,
            "codecommit",
            "UpdateRepositoryDescription",
            update,
        )
        .await
        .unwrap();
        let batch = json!({ "repositoryNames": ["none", "web"] });
        let have = call(&sandbox, "codecommit", "BatchGetRepositories", batch)
            .await
            .unwrap();
        assert_eq!(have["repositories"][0]["repositoryDescription"], "e");
        assert_eq!(have["repositoriesNotFound"], json!(["none"]));
        let gone = call(&sandbox, "codecommit", "DeleteRepository", name.clone())
            .await
            .unwrap();
        assert_eq!(gone["repositoryId"], made["repositoryId"]);
        assert_eq!(
            call(&sandbox, "codecommit", "DeleteRepository", name)
                .await
                .unwrap(),
            json!({})
        );
        assert_eq!(
            call(&sandbox, "codecommit", "ListRepositories", json!({}))
                .await
                .unwrap(),
            json!({ "repositories": [] })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_codecommit_s() {
        let long = "x".repeat(101);
        let table = [
            (
                "CreateRepository",
                json!({}),
                "RepositoryNameRequiredException",
            ),
            (
                "CreateRepository",
                json!({ "repositoryName": "a b" }),
                "InvalidRepositoryNameException",
            ),
            (
                "CreateRepository",
                json!({ "repositoryName": "a.git" }),
                "InvalidRepositoryNameException",
            ),
            (
                "CreateRepository",
                json!({ "repositoryName": long }),
                "InvalidRepositoryNameException",
            ),
            (
                "CreateRepository",
                json!({ "repositoryName": "web" }),
                "RepositoryNameExistsException",
            ),
            (
                "CreateRepository",
                json!({ "repositoryName": "b", "tags": { "aws:a": "" } }),
                "InvalidSystemTagUsageException",
            ),
            (
                "GetRepository",
                json!({ "repositoryName": "none" }),
                "RepositoryDoesNotExistException",
            ),
            (
                "GetBranch",
                json!({ "repositoryName": "web", "branchName": "main" }),
                "BranchDoesNotExistException",
            ),
            (
                "GetBranch",
                json!({ "repositoryName": "web" }),
                "BranchNameRequiredException",
            ),
            (
                "UpdateDefaultBranch",
                json!({ "repositoryName": "web", "defaultBranchName": "x" }),
                "BranchDoesNotExistException",
            ),
            (
                "GetCommit",
                json!({ "repositoryName": "web", "commitId": "abc" }),
                "InvalidCommitIdException",
            ),
            (
                "GetCommit",
                json!({ "repositoryName": "web", "commitId": "0".repeat(40) }),
                "CommitIdDoesNotExistException",
            ),
            (
                "ListTagsForResource",
                json!({ "resourceArn": "web" }),
                "InvalidResourceArnException",
            ),
            (
                "ListRepositories",
                json!({ "nextToken": "!" }),
                "InvalidContinuationTokenException",
            ),
            ("CreatePullRequest", json!({}), "NotImplemented"),
        ];
        for (operation, input, want) in table {
            assert_eq!(
                error(operation, input.clone()).await,
                want,
                "{operation} {input}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_heads_go_but_never_a_branch_s_newest() {
        let sandbox = sandbox();
        call(
            &sandbox,
            "codecommit",
            "CreateRepository",
            json!({ "repositoryName": "web" }),
        )
        .await
        .unwrap();
        let files = |text: String| [("a".to_owned(), text.into_bytes())].into();
        let quiet = sandbox
            .push(REGION, "web", "quiet", &files("q".to_owned()), "quiet")
            .unwrap();
        for number in 0..super::KEPT_HEADS + 2 {
            sandbox
                .push(REGION, "web", "main", &files(number.to_string()), "next")
                .unwrap();
        }
        let world = sandbox.world();
        assert_eq!(
            super::find(&world, REGION, "web").unwrap().heads.len(),
            super::KEPT_HEADS
        );
        assert_eq!(
            super::head(&world, REGION, "web", "quiet").unwrap().id,
            quiet
        );
    }
}

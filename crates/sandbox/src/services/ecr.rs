//! ECR: repositories and the images that builds push. Layers can't be uploaded: an image comes from the sandbox's own
//! build through `push`. Lifecycle policies are checked and kept, but nothing expires.

mod images;
mod layers;
mod lifecycle;
mod manifest;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{self, Millis};
use crate::iam::pattern;
use crate::runtime::Image;
use crate::services::{events, kms};
use crate::wire::page::{Page, page};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

use images::check_move;
pub(crate) use layers::{download, is_download};
use manifest::{digest, manifest};
use tags::new_tags;

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "BatchDeleteImage",
    "BatchGetImage",
    "CreateRepository",
    "DeleteLifecyclePolicy",
    "DeleteRepository",
    "DescribeImages",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "GetDownloadUrlForLayer",
    "GetLifecyclePolicy",
    "GetRepositoryPolicy",
    "ListImages",
    "ListTagsForResource",
    "PutImage",
    "PutImageScanningConfiguration",
    "PutImageTagMutability",
    "PutLifecyclePolicy",
    "TagResource",
    "UntagResource",
];

/// How long a registry password lasts on AWS.
const TOKEN_LIFE: Millis = 12 * 60 * 60 * 1000;

/// ECR in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub repositories: BTreeMap<String, Repository>,
}

/// A repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Repository {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// When it was made.
    pub created: Millis,
    /// Which tags may move.
    pub mutability: Mutability,
    /// Whether images are scanned on push (kept only).
    pub scan: bool,
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub encryption: String,
    /// The KMS key's ARN.
    pub key: Option<String>,
    /// Tags of the repository.
    pub tags: Tags,
    /// The lifecycle policy, as it was sent.
    pub lifecycle: Option<String>,
    /// By digest.
    pub images: BTreeMap<String, Stored>,
    /// Image tags and the digests that they name.
    pub image_tags: BTreeMap<String, String>,
    /// What images consisted of that were deleted, by digest.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub loose: BTreeSet<String>,
}

/// Which tags of a repository may be moved to another image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutability {
    /// `MUTABLE`, `IMMUTABLE`, or either with `_WITH_EXCLUSION`.
    pub setting: String,
    /// Wildcard patterns of tags for which the opposite holds.
    pub exclusions: Vec<String>,
}

/// An image in a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    /// What a task serves.
    pub image: Image,
    /// Its manifest; the digest is the SHA-256 of this text.
    pub manifest: String,
    /// When it was pushed.
    pub pushed: Millis,
    /// All layers together, in bytes.
    pub size: usize,
}

impl Mutability {
    fn may_move(&self, tag: &str) -> bool {
        let excluded = self
            .exclusions
            .iter()
            .any(|excluded| pattern::matches(excluded, tag));
        match self.setting.as_str() {
            "IMMUTABLE" => false,
            "IMMUTABLE_WITH_EXCLUSION" => excluded,
            "MUTABLE_WITH_EXCLUSION" => !excluded,
            _ => true,
        }
    }
}

impl Repository {
    fn tags_of(&self, digest: &str) -> Vec<&String> {
        self.image_tags
            .iter()
            .filter(|(_, named)| *named == digest)
            .map(|(tag, _)| tag)
            .collect()
    }

    /// The digest that an image id (`imageDigest`, `imageTag` or both) means.
    fn resolve(&self, id: &Value) -> Result<String, (&'static str, String)> {
        let missing = || ("ImageNotFound", "Requested image not found".to_owned());
        match (id.text("imageDigest"), id.text("imageTag")) {
            (None, None) => Err((
                "MissingDigestAndTag",
                "Invalid request parameters: both tag and digest cannot be null".to_owned(),
            )),
            (Some(digest), None) if self.images.contains_key(digest) => Ok(digest.to_owned()),
            (None, Some(tag)) => self.image_tags.get(tag).cloned().ok_or_else(missing),
            (Some(digest), Some(tag)) => match self.image_tags.get(tag) {
                Some(named) if named == digest => Ok(named.clone()),
                Some(_) => Err((
                    "ImageTagDoesNotMatchDigest",
                    "Image tag does not match digest".to_owned(),
                )),
                None => Err(missing()),
            },
            (Some(_), None) => Err(missing()),
        }
    }
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    check_registry(world, call)?;
    match call.operation.as_str() {
        "BatchDeleteImage" => images::batch_delete_image(world, call),
        "BatchGetImage" => images::batch_get_image(world, call),
        "CreateRepository" => create_repository(world, call),
        "DeleteLifecyclePolicy" => lifecycle::delete_lifecycle_policy(world, call),
        "DeleteRepository" => delete_repository(world, call),
        "DescribeImages" => images::describe_images(world, call),
        "DescribeRepositories" => describe_repositories(world, call),
        "GetAuthorizationToken" => get_authorization_token(world, call),
        "GetDownloadUrlForLayer" => layers::download_url(world, call),
        "GetLifecyclePolicy" => lifecycle::get_lifecycle_policy(world, call),
        "GetRepositoryPolicy" => get_repository_policy(world, call),
        "ListImages" => images::list_images(world, call),
        "ListTagsForResource" => tags::list_tags(world, call),
        "PutImage" => images::put_image(world, call),
        "PutImageScanningConfiguration" => put_scanning(world, call),
        "PutImageTagMutability" => put_mutability(world, call),
        "PutLifecyclePolicy" => lifecycle::put_lifecycle_policy(world, call),
        "TagResource" => tags::tag_resource(world, call),
        "UntagResource" => tags::untag_resource(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Puts a built image into a repository under a tag; answers its digest (`sha256:…`). The fault is the one of `PutImage`.
/// The same image under the same tag is no change, and fine.
pub(crate) fn push(
    world: &mut World,
    region: &str,
    repository: &str,
    tag: &str,
    image: Image,
) -> Result<String, Fault> {
    check_image_tag(tag)?;
    let manifest = manifest(&image);
    let digest = digest(manifest.as_bytes());
    let stored = Stored {
        size: image.files.values().map(|file| file.0.len()).sum(),
        image,
        manifest,
        pushed: world.now,
    };
    let account = world.account.clone();
    let found = world.at(region).ecr.repositories.get_mut(repository);
    let found = found.ok_or_else(|| no_repository(repository, &account))?;
    check_move(found, tag, &digest)?;
    found.images.entry(digest.clone()).or_insert(stored);
    found.image_tags.insert(tag.to_owned(), digest.clone());
    let detail = json!({
        "result": "SUCCESS",
        "repository-name": repository,
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": tag,
    });
    events::emit(world, region, "aws.ecr", "ECR Image Action", &[], &detail);
    Ok(digest)
}

/// The repository in an image's URI.
pub(crate) fn repository_of(uri: &str) -> &str {
    let path = uri.split_once('/').map_or(uri, |(_, path)| path);
    let name = path.split('@').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

/// Whether an image's URI is of this account's registry.
pub(crate) fn is_own(world: &World, uri: &str) -> bool {
    uri.starts_with(&format!("{}.dkr.ecr.", world.account))
}

/// The image that a URI names: `<account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:…` or `:tag`. `None` where the URI
/// is of another registry. `Some(Err(_))`: it is this account's registry and there is no such image.
pub(crate) fn pull(world: &World, uri: &str) -> Option<Result<Image, String>> {
    let (host, path) = uri.split_once('/')?;
    let region = host
        .strip_prefix(&format!("{}.dkr.ecr.", world.account))?
        .split_once(".amazonaws.com")?
        .0;
    let (name, id) = match (path.split_once('@'), path.rsplit_once(':')) {
        // A tag may stand before a digest; then the digest counts.
        (Some((name, digest)), _) => (
            name.split(':').next().unwrap_or(name),
            json!({"imageDigest": digest}),
        ),
        (None, Some((name, tag))) => (name, json!({"imageTag": tag})),
        (None, None) => (path, json!({"imageTag": "latest"})),
    };
    let repository = world
        .regions
        .get(region)
        .and_then(|at| at.ecr.repositories.get(name));
    let stored = repository.and_then(|found| found.images.get(&found.resolve(&id).ok()?));
    Some(
        stored
            .map(|stored| stored.image.clone())
            .ok_or_else(|| format!("{uri}: not found")),
    )
}

fn create_repository(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "repositoryName")?.to_owned();
    check_name(&name)?;
    if world.at(&call.region).ecr.repositories.contains_key(&name) {
        let message = format!(
            "The repository with name '{name}' already exists in the registry with id '{}'",
            world.account
        );
        return Err(Fault::new("RepositoryAlreadyExistsException", message));
    }
    let mutability = mutability(call)?;
    let tags = new_tags(call)?;
    let (encryption, key) = encryption(world, call)?;
    let scanning = call.input.get("imageScanningConfiguration");
    let repository = Repository {
        arn: world.arn("ecr", &call.region, &format!("repository/{name}")),
        created: world.now,
        mutability,
        scan: scanning
            .and_then(|value| value.flag("scanOnPush"))
            .unwrap_or(false),
        encryption,
        key,
        tags,
        lifecycle: None,
        images: BTreeMap::new(),
        image_tags: BTreeMap::new(),
        loose: BTreeSet::new(),
        name: name.clone(),
    };
    let answer = json!({"repository": shown(world, call, &repository)});
    world
        .at(&call.region)
        .ecr
        .repositories
        .insert(name, repository);
    Ok(Reply::Value(answer))
}

fn describe_repositories(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("repositoryNames");
    let all = world.at(&call.region).ecr.repositories.clone();
    if let Some(missing) = names.iter().find(|name| !all.contains_key(*name)) {
        return Err(no_repository(missing, &world.account));
    }
    let wanted = all
        .values()
        .filter(|repository| names.is_empty() || names.contains(&repository.name));
    let entries =
        wanted.map(|repository| (repository.name.clone(), shown(world, call, repository)));
    Ok(Reply::Value(listed("repositories", cut(call, entries)?)))
}

fn delete_repository(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let repository = repository(world, call)?.clone();
    if !repository.images.is_empty() && call.input.flag("force") != Some(true) {
        let message = format!(
            "The repository with name '{}' in registry with id '{}' cannot be deleted because it still contains images",
            repository.name, world.account
        );
        return Err(Fault::new("RepositoryNotEmptyException", message));
    }
    world
        .at(&call.region)
        .ecr
        .repositories
        .remove(&repository.name);
    Ok(Reply::Value(
        json!({"repository": shown(world, call, &repository)}),
    ))
}

fn shown(world: &World, call: &Call, repository: &Repository) -> Value {
    let mut value = json!({
        "repositoryArn": repository.arn,
        "registryId": world.account,
        "repositoryName": repository.name,
        "repositoryUri": format!("{}/{}", registry(world, call), repository.name),
        "createdAt": clock::seconds(repository.created),
        "imageTagMutability": repository.mutability.setting,
        "imageScanningConfiguration": {"scanOnPush": repository.scan},
        "encryptionConfiguration": {"encryptionType": repository.encryption},
    });
    if let Some(key) = &repository.key {
        value["encryptionConfiguration"]["kmsKey"] = json!(key);
    }
    if !repository.mutability.exclusions.is_empty() {
        value["imageTagMutabilityExclusionFilters"] = filters(&repository.mutability);
    }
    value
}

fn filters(mutability: &Mutability) -> Value {
    mutability
        .exclusions
        .iter()
        .map(|filter| json!({"filterType": "WILDCARD", "filter": filter}))
        .collect()
}

fn put_mutability(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let mutability = mutability(call)?;
    repository_mut(world, call)?.mutability = mutability.clone();
    let mut answer = about(world, call);
    answer["imageTagMutability"] = json!(mutability.setting);
    if !mutability.exclusions.is_empty() {
        answer["imageTagMutabilityExclusionFilters"] = filters(&mutability);
    }
    Ok(Reply::Value(answer))
}

fn mutability(call: &Call) -> Result<Mutability, Fault> {
    let setting = call
        .input
        .text("imageTagMutability")
        .unwrap_or("MUTABLE")
        .to_owned();
    if ![
        "MUTABLE",
        "IMMUTABLE",
        "MUTABLE_WITH_EXCLUSION",
        "IMMUTABLE_WITH_EXCLUSION",
    ]
    .contains(&setting.as_str())
    {
        return Err(invalid(format!(
            "'{setting}' is not a valid imageTagMutability"
        )));
    }
    let mut exclusions = Vec::new();
    for filter in call.input.list("imageTagMutabilityExclusionFilters") {
        let text = filter.text("filter").unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || "._*-".contains(c);
        let sound = (1..=128).contains(&text.len())
            && text.chars().all(legal)
            && text.matches('*').count() <= 2;
        if filter.text("filterType") != Some("WILDCARD") || !sound {
            return Err(invalid(format!(
                "'{text}' is not a valid image tag mutability exclusion filter"
            )));
        }
        exclusions.push(text.to_owned());
    }
    match (setting.ends_with("_WITH_EXCLUSION"), exclusions.len()) {
        (true, 1..=5) | (false, 0) => Ok(Mutability {
            setting,
            exclusions,
        }),
        (true, _) => Err(invalid(format!(
            "{setting} needs one to five imageTagMutabilityExclusionFilters"
        ))),
        (false, _) => Err(invalid(format!(
            "imageTagMutabilityExclusionFilters are not allowed with {setting}"
        ))),
    }
}

fn encryption(world: &World, call: &Call) -> Result<(String, Option<String>), Fault> {
    let Some(configuration) = call.input.get("encryptionConfiguration") else {
        return Ok(("AES256".to_owned(), None));
    };
    match (
        configuration.text("encryptionType"),
        configuration.text("kmsKey"),
    ) {
        (Some("AES256"), None) => Ok(("AES256".to_owned(), None)),
        (Some(kind @ ("KMS" | "KMS_DSSE")), None) => Ok((kind.to_owned(), None)),
        (Some(kind @ ("KMS" | "KMS_DSSE")), Some(key)) => {
            kms::usable(world, &call.region, key)
                .map_err(|fault| Fault::new("KmsException", fault.message))?;
            Ok((kind.to_owned(), kms::arn(world, &call.region, key)))
        }
        _ => Err(invalid(
            "Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint",
        )),
    }
}

fn put_scanning(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let configuration = call.input.get("imageScanningConfiguration");
    let scan = configuration
        .and_then(|value| value.flag("scanOnPush"))
        .unwrap_or(false);
    repository_mut(world, call)?.scan = scan;
    let mut answer = about(world, call);
    answer["imageScanningConfiguration"] = json!({"scanOnPush": scan});
    Ok(Reply::Value(answer))
}

/// Repository policies can't be set here, so there is none.
fn get_repository_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let account = world.account.clone();
    let name = &repository(world, call)?.name;
    let message = format!(
        "Repository policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
    );
    Err(Fault::new("RepositoryPolicyNotFoundException", message))
}

fn get_authorization_token(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let secret = format!("AWS:{}", world.hex(64));
    Ok(Reply::Value(json!({"authorizationData": [{
        "authorizationToken": base64::engine::general_purpose::STANDARD.encode(secret),
        "expiresAt": clock::seconds(world.now + TOKEN_LIFE),
        "proxyEndpoint": format!("https://{}", registry(world, call)),
    }]})))
}

fn repository<'a>(world: &'a mut World, call: &Call) -> Result<&'a Repository, Fault> {
    repository_mut(world, call).map(|repository| &*repository)
}

fn repository_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Repository, Fault> {
    let name = required(call, "repositoryName")?;
    let account = world.account.clone();
    world
        .at(&call.region)
        .ecr
        .repositories
        .get_mut(name)
        .ok_or_else(|| no_repository(name, &account))
}

/// What many answers begin with.
fn about(world: &World, call: &Call) -> Value {
    json!({"registryId": world.account, "repositoryName": call.input.text("repositoryName")})
}

fn registry(world: &World, call: &Call) -> String {
    let domain = if call.region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("{}.dkr.ecr.{}.{domain}", world.account, call.region)
}

fn check_registry(world: &World, call: &Call) -> Result<(), Fault> {
    match call.input.text("registryId") {
        Some(id) if id != world.account => Err(match call.input.text("repositoryName") {
            Some(name) => no_repository(name, id),
            None => invalid(format!(
                "the ecspipe sandbox has no registry with id '{id}'"
            )),
        }),
        _ => Ok(()),
    }
}

/// `[a-z0-9]+` parts joined by `.`, `_`, `__` or dashes, and by slashes; 2 to 256 characters.
fn check_name(name: &str) -> Result<(), Fault> {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let end =
            |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let odd = ["..", "___", "._", "_.", "-.", ".-", "-_", "_-"]
            .iter()
            .any(|pair| part.contains(pair));
        end(bytes.first()) && end(bytes.last()) && part.chars().all(legal) && !odd
    };
    match (2..=256).contains(&name.len()) && name.split('/').all(part) {
        true => Ok(()),
        false => Err(invalid(format!(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'': {name}"
        ))),
    }
}

fn check_image_tag(tag: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let first = tag
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    match first && tag.len() <= 128 && tag.chars().all(legal) {
        true => Ok(()),
        false => Err(invalid(format!(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: {tag}"
        ))),
    }
}

fn cut(
    call: &Call,
    entries: impl IntoIterator<Item = (String, Value)>,
) -> Result<Page<Value>, Fault> {
    let limit = call.input.int("maxResults").unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(invalid(
            "Invalid parameter at 'maxResults': it must be 1 to 1000",
        ));
    }
    page(entries, call.input.text("nextToken"), limit as usize)
        .ok_or_else(|| invalid("Invalid parameter at 'nextToken': it is not one that was given"))
}

fn listed(list: &str, cut: Page<Value>) -> Value {
    let mut answer = json!({list: cut.items});
    if let Some(next) = cut.next {
        answer["nextToken"] = json!(next);
    }
    answer
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    let text = call.input.text(name).filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(format!("The request must contain the parameter {name}")))
}

fn no_repository(name: &str, account: &str) -> Fault {
    let message = format!(
        "The repository with name '{name}' does not exist in the registry with id '{account}'"
    );
    Fault::new("RepositoryNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

//! ECR: repositories and the images that builds push. Layers can't be uploaded: an image comes from the sandbox's own
//! build through `push`. Lifecycle policies are checked and kept, but nothing expires.

mod layers;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::clock::{self, Millis};
use crate::iam::pattern;
use crate::runtime::Image;
use crate::services::{events, kms};
use crate::wire::page::{Page, page};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

pub(crate) use layers::{download, is_download};

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

/// The media type of the manifests that the sandbox writes.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of what names a manifest for each of several processors.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

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
        "BatchDeleteImage" => batch_delete_image(world, call),
        "BatchGetImage" => batch_get_image(world, call),
        "CreateRepository" => create_repository(world, call),
        "DeleteLifecyclePolicy" => delete_lifecycle_policy(world, call),
        "DeleteRepository" => delete_repository(world, call),
        "DescribeImages" => describe_images(world, call),
        "DescribeRepositories" => describe_repositories(world, call),
        "GetAuthorizationToken" => get_authorization_token(world, call),
        "GetDownloadUrlForLayer" => layers::download_url(world, call),
        "GetLifecyclePolicy" => get_lifecycle_policy(world, call),
        "GetRepositoryPolicy" => get_repository_policy(world, call),
        "ListImages" => list_images(world, call),
        "ListTagsForResource" => list_tags(world, call),
        "PutImage" => put_image(world, call),
        "PutImageScanningConfiguration" => put_scanning(world, call),
        "PutImageTagMutability" => put_mutability(world, call),
        "PutLifecyclePolicy" => put_lifecycle_policy(world, call),
        "TagResource" => tag_resource(world, call),
        "UntagResource" => untag_resource(world, call),
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

fn put_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = required(call, "lifecyclePolicyText")?.to_owned();
    check_lifecycle(&text).map_err(|reason| {
        invalid(format!(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{reason}'"
        ))
    })?;
    repository_mut(world, call)?.lifecycle = Some(text.clone());
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

/// The rules of ECR's lifecycle policies. The error names the one that is broken.
fn check_lifecycle(text: &str) -> Result<(), String> {
    if !(100..=30_720).contains(&text.len()) {
        return Err("the text has 100 to 30720 characters".to_owned());
    }
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let rules = document.list("rules");
    if rules.is_empty() || rules.len() > 50 {
        return Err("there are one to fifty rules".to_owned());
    }
    let mut priorities = std::collections::BTreeSet::new();
    for rule in rules {
        let priority = rule.int("rulePriority").filter(|priority| *priority >= 1);
        if !priority.is_some_and(|priority| priorities.insert(priority)) {
            return Err("each rule has a rulePriority of its own, from 1".to_owned());
        }
        if rule.get("action").and_then(|action| action.text("type")) != Some("expire") {
            return Err("the action's type is expire".to_owned());
        }
        let selection = rule.get("selection").ok_or("each rule has a selection")?;
        let listed = !selection.list("tagPrefixList").is_empty()
            || !selection.list("tagPatternList").is_empty();
        match (selection.text("tagStatus"), listed) {
            (Some("tagged"), true) | (Some("untagged" | "any"), false) => {}
            (Some("tagged"), false) => {
                return Err("tagged needs a tagPrefixList or a tagPatternList".to_owned());
            }
            _ => {
                return Err(
                    "tagStatus is tagged, untagged or any; only tagged has lists".to_owned(),
                );
            }
        }
        match (selection.text("countType"), selection.text("countUnit")) {
            (Some("imageCountMoreThan"), None)
            | (Some("sinceImagePushed" | "sinceImagePulled"), Some("days")) => {}
            _ => {
                return Err(
                    "countType is imageCountMoreThan, or sinceImagePushed with countUnit days"
                        .to_owned(),
                );
            }
        }
        if selection.int("countNumber").is_none_or(|number| number < 1) {
            return Err("countNumber is at least 1".to_owned());
        }
    }
    Ok(())
}

fn get_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = lifecycle(world, call)?;
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

fn delete_lifecycle_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let text = lifecycle(world, call)?;
    repository_mut(world, call)?.lifecycle = None;
    let mut answer = about(world, call);
    answer["lifecyclePolicyText"] = json!(text);
    Ok(Reply::Value(answer))
}

fn lifecycle(world: &mut World, call: &Call) -> Result<String, Fault> {
    let account = world.account.clone();
    let repository = repository(world, call)?;
    repository.lifecycle.clone().ok_or_else(|| {
        let message = format!(
            "Lifecycle policy does not exist for the repository with name '{}' in the registry with id '{account}'",
            repository.name
        );
        Fault::new("LifecyclePolicyNotFoundException", message)
    })
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

fn describe_images(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let account = world.account.clone();
    let repository = repository(world, call)?;
    let ids = call.input.list("imageIds");
    let mut digests: Vec<String> = match ids.is_empty() {
        true => repository.images.keys().cloned().collect(),
        false => ids
            .iter()
            .map(|id| repository.resolve(id))
            .collect::<Result<_, _>>()
            .map_err(|(_, reason)| {
                let message = format!(
                    "{reason} in the repository with name '{}' in the registry with id '{account}'",
                    repository.name
                );
                Fault::new("ImageNotFoundException", message)
            })?,
    };
    digests.sort();
    digests.dedup();
    let status = tag_status(call)?;
    let wanted = digests
        .into_iter()
        .filter(|digest| status.admits(!repository.tags_of(digest).is_empty()));
    let entries = wanted.filter_map(|digest| {
        let stored = repository.images.get(&digest)?;
        let mut entry = json!({
            "registryId": account,
            "repositoryName": repository.name,
            "imageDigest": digest,
            "imageSizeInBytes": stored.size,
            "imagePushedAt": clock::seconds(stored.pushed),
            "imageManifestMediaType": media_type(&stored.image),
        });
        if stored.image.architectures.len() < 2 {
            entry["artifactMediaType"] = json!("application/vnd.oci.image.config.v1+json");
        }
        let tags = repository.tags_of(&digest);
        if !tags.is_empty() {
            entry["imageTags"] = json!(tags);
        }
        Some((digest, entry))
    });
    let entries: Vec<(String, Value)> = entries.collect();
    Ok(Reply::Value(listed("imageDetails", cut(call, entries)?)))
}

fn list_images(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let status = tag_status(call)?;
    let repository = repository(world, call)?;
    let mut entries = Vec::new();
    for digest in repository.images.keys() {
        let tags = repository.tags_of(digest);
        if tags.is_empty() && status.admits(false) {
            entries.push((digest.clone(), json!({"imageDigest": digest})));
        }
        for tag in tags.into_iter().filter(|_| status.admits(true)) {
            entries.push((
                format!("{digest} {tag}"),
                json!({"imageDigest": digest, "imageTag": tag}),
            ));
        }
    }
    Ok(Reply::Value(listed("imageIds", cut(call, entries)?)))
}

/// The filter of image listings.
enum TagStatus {
    Tagged,
    Untagged,
    Any,
}

impl TagStatus {
    fn admits(&self, tagged: bool) -> bool {
        match self {
            Self::Tagged => tagged,
            Self::Untagged => !tagged,
            Self::Any => true,
        }
    }
}

fn tag_status(call: &Call) -> Result<TagStatus, Fault> {
    match call
        .input
        .get("filter")
        .and_then(|filter| filter.text("tagStatus"))
    {
        None | Some("ANY") => Ok(TagStatus::Any),
        Some("TAGGED") => Ok(TagStatus::Tagged),
        Some("UNTAGGED") => Ok(TagStatus::Untagged),
        Some(other) => Err(invalid(format!("'{other}' is not a valid tagStatus"))),
    }
}

fn batch_get_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let account = world.account.clone();
    let repository = repository(world, call)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in image_ids(call)? {
        match repository.resolve(id) {
            Ok(digest) => {
                let mut image_id = json!({"imageDigest": digest});
                if let Some(tag) = id.text("imageTag") {
                    image_id["imageTag"] = json!(tag);
                }
                let stored = repository.images.get(&digest);
                images.push(json!({
                    "registryId": account,
                    "repositoryName": repository.name,
                    "imageId": image_id,
                    "imageManifest": stored.map(|stored| stored.manifest.as_str()),
                    "imageManifestMediaType": stored.map(|stored| media_type(&stored.image)),
                }));
            }
            Err(problem) => failures.push(failure(id, problem)),
        }
    }
    Ok(Reply::Value(
        json!({"images": images, "failures": failures}),
    ))
}

/// Deleting a tag takes the tag away, and the image with its last tag; deleting a digest takes image and tags.
fn batch_delete_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let ids = image_ids(call)?;
    let repository = repository_mut(world, call)?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        let digest = match repository.resolve(id) {
            Ok(digest) => digest,
            Err(problem) => {
                failures.push(failure(id, problem));
                continue;
            }
        };
        let tags: Vec<String> = match id.text("imageTag") {
            Some(tag) => vec![tag.to_owned()],
            None => repository.tags_of(&digest).into_iter().cloned().collect(),
        };
        if tags.is_empty() {
            deleted.push(json!({"imageDigest": digest}));
        }
        for tag in tags {
            repository.image_tags.remove(&tag);
            deleted.push(json!({"imageDigest": digest, "imageTag": tag}));
        }
        if repository.tags_of(&digest).is_empty()
            && let Some(stored) = repository.images.remove(&digest)
        {
            let parts = layers::parts(&stored.image);
            repository.loose.extend(parts.into_keys());
        }
    }
    Ok(Reply::Value(
        json!({"imageIds": deleted, "failures": failures}),
    ))
}

/// Gives an image that is there another tag: its manifest is sent again. Others would need layers.
fn put_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let manifest = required(call, "imageManifest")?.to_owned();
    let tag = call.input.text("imageTag").map(ToOwned::to_owned);
    let digest = digest(manifest.as_bytes());
    if call
        .input
        .text("imageDigest")
        .is_some_and(|want| want != digest)
    {
        let message = format!("Image digest '{digest}' does not match the one that was sent");
        return Err(Fault::new("ImageDigestDoesNotMatchException", message));
    }
    let repository = repository_mut(world, call)?;
    let stored = repository.images.get(&digest);
    let kind = stored.map_or(MANIFEST, |stored| media_type(&stored.image));
    if stored.is_none() {
        let message = "the ecspipe sandbox has no layer uploads; images come from its own builds";
        return Err(Fault::new("LayersNotFoundException", message));
    }
    let known = tag
        .as_ref()
        .is_none_or(|tag| repository.image_tags.get(tag) == Some(&digest));
    if known {
        let message = format!(
            "Image with digest '{digest}' already exists in the repository with name '{}'",
            repository.name
        );
        return Err(Fault::new("ImageAlreadyExistsException", message));
    }
    let mut image_id = json!({"imageDigest": digest});
    if let Some(tag) = tag {
        check_image_tag(&tag)?;
        check_move(repository, &tag, &digest)?;
        image_id["imageTag"] = json!(tag);
        repository.image_tags.insert(tag, digest);
    }
    let mut image = about(world, call);
    image["imageId"] = image_id;
    image["imageManifest"] = json!(manifest);
    image["imageManifestMediaType"] = json!(kind);
    Ok(Reply::Value(json!({"image": image})))
}

fn image_ids(call: &Call) -> Result<&[Value], Fault> {
    let ids = call.input.list("imageIds");
    match (1..=100).contains(&ids.len()) {
        true => Ok(ids),
        false => Err(invalid(
            "Invalid parameter at 'imageIds': there must be 1 to 100",
        )),
    }
}

fn failure(id: &Value, (code, reason): (&str, String)) -> Value {
    json!({"imageId": id, "failureCode": code, "failureReason": reason})
}

fn check_move(repository: &Repository, tag: &str, digest: &str) -> Result<(), Fault> {
    match repository.image_tags.get(tag) {
        Some(named) if named != digest && !repository.mutability.may_move(tag) => {
            let message = format!(
                "The image tag '{tag}' already exists in the '{}' repository and cannot be overwritten because the tag is immutable.",
                repository.name
            );
            Err(Fault::new("ImageTagAlreadyExistsException", message))
        }
        _ => Ok(()),
    }
}

fn media_type(image: &Image) -> &'static str {
    match image.architectures.len() {
        0 | 1 => MANIFEST,
        _ => INDEX,
    }
}

/// An OCI manifest of the image; where it was built for several processors an index of one for each. Equal content has equal ones.
fn manifest(image: &Image) -> String {
    let of = |processor: &str| manifest_for(image, processor);
    match processors(image).as_slice() {
        [only] => of(only),
        several => {
            let entry = |processor: &String| {
                let manifest = of(processor);
                json!({
                    "mediaType": MANIFEST,
                    "digest": digest(manifest.as_bytes()),
                    "size": manifest.len(),
                    "platform": {"architecture": processor, "os": "linux"},
                })
            };
            let manifests: Vec<Value> = several.iter().map(entry).collect();
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string()
        }
    }
}

/// The processors that the image's configurations name.
fn processors(image: &Image) -> Vec<String> {
    match image.architectures.as_slice() {
        [] => vec!["amd64".to_owned()],
        named => named.to_vec(),
    }
}

/// The configuration for a processor.
fn configuration(image: &Image, processor: &str) -> String {
    json!({
        "os": "linux",
        "architecture": processor,
        "base": image.base,
        "config": {"ExposedPorts": image.ports, "Root": image.root, "Fault": image.fault},
    })
    .to_string()
}

/// The manifest for a processor: a configuration, and a layer for each file.
fn manifest_for(image: &Image, processor: &str) -> String {
    let config = configuration(image, processor);
    let layer = |(path, content): (&String, &crate::runtime::Content)| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest(&content.0),
            "size": content.0.len(),
            "annotations": {"path": path},
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config.as_bytes()),
            "size": config.len(),
        },
        "layers": image.files.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn tag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let repository = by_arn(world, call)?;
    let mut all = repository.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "A repository has at most 50 tags.",
        ));
    }
    repository.tags = all;
    Ok(Reply::Value(json!({})))
}

fn untag_resource(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let keys = call.input.texts("tagKeys");
    by_arn(world, call)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(Reply::Value(json!({})))
}

fn list_tags(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let tags = by_arn(world, call)?
        .tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(Reply::Value(json!({"tags": Value::Array(tags)})))
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let problem = |message: &str| Err(Fault::new("InvalidTagParameterException", message));
    let mut tags = Tags::new();
    for item in call.input.list("tags") {
        let (key, value) = (
            item.text("Key").unwrap_or_default(),
            item.text("Value").unwrap_or_default(),
        );
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return problem("tag keys have 1 to 128 characters and values at most 256");
        }
        if key.to_lowercase().starts_with("aws:") {
            return problem("tag keys beginning with aws: are reserved");
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return problem("duplicate tag keys");
        }
    }
    match tags.len() > 50 {
        true => Err(Fault::new(
            "TooManyTagsException",
            "A repository has at most 50 tags.",
        )),
        false => Ok(tags),
    }
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

fn by_arn<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Repository, Fault> {
    let arn = required(call, "resourceArn")?;
    let (_, name) = arn.split_once(":repository/").ok_or_else(|| {
        invalid(format!(
            "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN': {arn}"
        ))
    })?;
    let account = world.account.clone();
    let found = world
        .at(&call.region)
        .ecr
        .repositories
        .get_mut(name)
        .filter(|repository| repository.arn == arn);
    found.ok_or_else(|| no_repository(name, &account))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sandbox;
    use crate::runtime::Content;
    use crate::testing::{self, REGION, sandbox};

    const HOST: &str = "111122223333.dkr.ecr.eu-central-1.amazonaws.com";

    async fn ecr(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
        testing::call(sandbox, "ecr", operation, input).await
    }

    async fn with_repository() -> Sandbox {
        let sandbox = sandbox();
        let input = json!({
            "repositoryName": "web",
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "buildcache*"}],
            "tags": [{"Key": "a", "Value": "b"}],
        });
        ecr(&sandbox, "CreateRepository", input).await.unwrap();
        sandbox
    }

    fn image(text: &str) -> Image {
        let files = BTreeMap::from([("/index.html".to_owned(), Content(text.as_bytes().to_vec()))]);
        Image {
            base: "httpd".to_owned(),
            files,
            ports: vec![80],
            ..Image::default()
        }
    }

    fn refused(code: &str) -> Result<Value, (u16, String)> {
        Err((400, code.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_repository_comes_back_as_it_was_made() {
        let sandbox = with_repository().await;
        let answer = ecr(
            &sandbox,
            "DescribeRepositories",
            json!({"repositoryNames": ["web"]}),
        )
        .await
        .unwrap();
        let repository = &answer["repositories"][0];
        assert_eq!(repository["repositoryUri"], format!("{HOST}/web"));
        assert_eq!(
            repository["imageTagMutabilityExclusionFilters"][0]["filter"],
            "buildcache*"
        );
        let tags = ecr(
            &sandbox,
            "ListTagsForResource",
            json!({"resourceArn": repository["repositoryArn"]}),
        )
        .await
        .unwrap();
        assert_eq!(tags, json!({"tags": [{"Key": "a", "Value": "b"}]}));
        let missing = ecr(
            &sandbox,
            "DescribeRepositories",
            json!({"repositoryNames": ["other"]}),
        )
        .await;
        assert_eq!(missing, refused("RepositoryNotFoundException"));
    }

    #[tokio::test(start_paused = true)]
    async fn bad_input_is_refused() {
        let sandbox = with_repository().await;
        for input in [
            json!({"repositoryName": "Web"}),
            json!({"repositoryName": "a__-b"}),
            json!({"repositoryName": "w/-"}),
            json!({"repositoryName": "ok", "imageTagMutability": "SOMETIMES"}),
            json!({"repositoryName": "ok", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}),
            json!({"repositoryName": "ok", "encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": "x"}}),
        ] {
            assert_eq!(
                ecr(&sandbox, "CreateRepository", input.clone()).await,
                refused("InvalidParameterException"),
                "{input}"
            );
        }
        let again = ecr(
            &sandbox,
            "CreateRepository",
            json!({"repositoryName": "web"}),
        )
        .await;
        assert_eq!(again, refused("RepositoryAlreadyExistsException"));
        let ghost = json!({"repositoryName": "ok", "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/x"}});
        assert_eq!(
            ecr(&sandbox, "CreateRepository", ghost).await,
            refused("KmsException")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn tags_do_not_move_but_for_the_excluded() {
        let sandbox = with_repository().await;
        let push =
            |tag: &str, text: &str| push(&mut sandbox.world(), REGION, "web", tag, image(text));
        let first = push("abc", "1").unwrap();
        assert_eq!(push("abc", "1").unwrap(), first);
        assert_eq!(
            push("abc", "2").unwrap_err().code,
            "ImageTagAlreadyExistsException"
        );
        assert_ne!(
            push("buildcache", "1").unwrap(),
            push("buildcache", "2").unwrap()
        );
        assert_eq!(
            push("b ad", "1").unwrap_err().code,
            "InvalidParameterException"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn images_are_pulled_by_tag_and_digest() {
        let sandbox = with_repository().await;
        let digest = push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
        let pull = |uri: String| pull(&sandbox.world(), &uri);
        for uri in [
            format!("{HOST}/web:abc"),
            format!("{HOST}/web@{digest}"),
            format!("{HOST}/web:abc@{digest}"),
        ] {
            assert_eq!(pull(uri.clone()), Some(Ok(image("1"))), "{uri}");
        }
        for uri in [
            format!("{HOST}/web"),
            format!("{HOST}/web@sha256:00"),
            format!("{HOST}/other:abc"),
        ] {
            assert!(matches!(pull(uri.clone()), Some(Err(_))), "{uri}");
        }
        for uri in [
            "httpd:2.4",
            "docker.io/library/httpd",
            "999999999999.dkr.ecr.eu-central-1.amazonaws.com/web:abc",
        ] {
            assert_eq!(pull(uri.to_owned()), None, "{uri}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn images_are_listed_fetched_and_deleted() {
        let sandbox = with_repository().await;
        let digest = push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
        push(&mut sandbox.world(), REGION, "web", "def", image("2")).unwrap();
        let by_tag = json!({"repositoryName": "web", "imageIds": [{"imageTag": "abc"}]});
        let details = ecr(&sandbox, "DescribeImages", by_tag.clone())
            .await
            .unwrap();
        assert_eq!(details["imageDetails"][0]["imageDigest"], digest);
        let fetched = ecr(&sandbox, "BatchGetImage", by_tag.clone())
            .await
            .unwrap();
        let manifest = fetched["images"][0]["imageManifest"].as_str().unwrap();
        assert_eq!(super::digest(manifest.as_bytes()), digest);
        let retag =
            json!({"repositoryName": "web", "imageManifest": manifest, "imageTag": "release"});
        ecr(&sandbox, "PutImage", retag.clone()).await.unwrap();
        assert_eq!(
            ecr(&sandbox, "PutImage", retag).await,
            refused("ImageAlreadyExistsException")
        );
        let first = ecr(
            &sandbox,
            "ListImages",
            json!({"repositoryName": "web", "maxResults": 2}),
        )
        .await
        .unwrap();
        let input =
            json!({"repositoryName": "web", "maxResults": 2, "nextToken": first["nextToken"]});
        let second = ecr(&sandbox, "ListImages", input).await.unwrap();
        assert_eq!(
            (
                first["imageIds"].as_array().unwrap().len(),
                second["imageIds"].as_array().unwrap().len()
            ),
            (2, 1)
        );
        let missing = json!({"repositoryName": "web", "imageIds": [{"imageTag": "none"}]});
        assert_eq!(
            ecr(&sandbox, "DescribeImages", missing.clone()).await,
            refused("ImageNotFoundException")
        );
        let gone = ecr(&sandbox, "BatchDeleteImage", missing).await.unwrap();
        assert_eq!(gone["failures"][0]["failureCode"], "ImageNotFound");
        ecr(&sandbox, "BatchDeleteImage", by_tag).await.unwrap();
        assert!(
            pull(&sandbox.world(), &format!("{HOST}/web:release"))
                .unwrap()
                .is_ok()
        );
    }

    /// What a URL of ECR's gives: the status, and the body.
    async fn got(sandbox: &Sandbox, url: &str, signs: bool) -> (u16, String) {
        let (host, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
        let mut request = http::Request::get(format!("/{path}")).header("host", host);
        if signs {
            request = request.header("authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0");
        }
        let answer = sandbox
            .handle(request.body(bytes::Bytes::new()).unwrap())
            .await;
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), body)
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_image_consists_of_is_had_by_its_digest() {
        let sandbox = with_repository().await;
        let arm = Image {
            architectures: vec!["arm64".to_owned()],
            ..image("1")
        };
        push(&mut sandbox.world(), REGION, "web", "abc", arm).unwrap();
        let by_tag = json!({"repositoryName": "web", "imageIds": [{"imageTag": "abc"}]});
        let fetched = ecr(&sandbox, "BatchGetImage", by_tag.clone())
            .await
            .unwrap();
        let manifest = fetched["images"][0]["imageManifest"].as_str().unwrap();
        let manifest: Value = serde_json::from_str(manifest).unwrap();
        let ask = |digest: &str| {
            let input = json!({"repositoryName": "web", "layerDigest": digest});
            ecr(&sandbox, "GetDownloadUrlForLayer", input)
        };
        let config = manifest["config"]["digest"].as_str().unwrap();
        let answer = ask(config).await.unwrap();
        assert_eq!(answer["layerDigest"], config);
        let url = answer["downloadUrl"].as_str().unwrap();
        // Whoever has the URL may have the content; nobody else, and nothing else.
        let nothing = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
        sandbox.caller_policy(Some(vec![nothing])).unwrap();
        let (status, text) = got(&sandbox, url, false).await;
        assert_eq!((status, digest(text.as_bytes()).as_str()), (200, config));
        assert_eq!(manifest["config"]["size"], text.len());
        let text: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text["architecture"], "arm64");
        for (url, signs, status, code) in [
            (url.to_owned(), true, 400, "InvalidArgument"),
            (
                url.replace("/web/", "/other/"),
                false,
                403,
                "SignatureDoesNotMatch",
            ),
            (
                url.split_once("&X-Amz-Signature").unwrap().0.to_owned(),
                false,
                403,
                "AccessDenied",
            ),
        ] {
            let (have, text) = got(&sandbox, &url, signs).await;
            assert_eq!(have, status, "{text}");
            assert!(text.contains(code), "{text}");
        }
        tokio::time::advance(std::time::Duration::from_secs(3601)).await;
        let (status, text) = got(&sandbox, url, false).await;
        assert!(
            status == 403 && text.contains("Request has expired"),
            "{text}"
        );
        sandbox.caller_policy(None).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let answer = ask(layer).await.unwrap();
        let url = answer["downloadUrl"].as_str().unwrap();
        assert_eq!(got(&sandbox, url, false).await, (200, "1".to_owned()));
        ecr(&sandbox, "BatchDeleteImage", by_tag).await.unwrap();
        assert_eq!(got(&sandbox, url, false).await.0, 404);
        let never = format!("sha256:{}", "0".repeat(64));
        for (digest, code) in [
            (layer, "LayerInaccessibleException"),
            (config, "LayerInaccessibleException"),
            (never.as_str(), "LayersNotFoundException"),
            ("abc", "InvalidParameterException"),
        ] {
            assert_eq!(ask(digest).await, refused(code));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repository_with_images_goes_by_force_only() {
        let sandbox = with_repository().await;
        push(&mut sandbox.world(), REGION, "web", "abc", image("1")).unwrap();
        let name = json!({"repositoryName": "web"});
        assert_eq!(
            ecr(&sandbox, "DeleteRepository", name.clone()).await,
            refused("RepositoryNotEmptyException")
        );
        ecr(
            &sandbox,
            "DeleteRepository",
            json!({"repositoryName": "web", "force": true}),
        )
        .await
        .unwrap();
        assert_eq!(
            ecr(&sandbox, "DeleteRepository", name).await,
            refused("RepositoryNotFoundException")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn lifecycle_policies_are_checked() {
        let sandbox = with_repository().await;
        let name = json!({"repositoryName": "web"});
        assert_eq!(
            ecr(&sandbox, "GetLifecyclePolicy", name.clone()).await,
            refused("LifecyclePolicyNotFoundException")
        );
        let rule = |selection: Value| {
            json!({"rules": [{"rulePriority": 1, "description": "d", "selection": selection, "action": {"type": "expire"}}]}).to_string()
        };
        let good =
            rule(json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30}));
        let put = |text: String| {
            ecr(
                &sandbox,
                "PutLifecyclePolicy",
                json!({"repositoryName": "web", "lifecyclePolicyText": text}),
            )
        };
        put(good.clone()).await.unwrap();
        assert_eq!(
            ecr(&sandbox, "GetLifecyclePolicy", name).await.unwrap()["lifecyclePolicyText"],
            good
        );
        for bad in [
            "{}".to_owned(),
            rule(
                json!({"tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 30}),
            ),
            rule(json!({"tagStatus": "any", "countType": "sinceImagePushed", "countNumber": 30})),
            rule(json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0})),
        ] {
            assert_eq!(
                put(bad.clone()).await,
                refused("InvalidParameterException"),
                "{bad}"
            );
        }
    }
}

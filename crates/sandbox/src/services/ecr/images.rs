//! The images of a repository: listed, fetched, tagged again and deleted.

use serde_json::{Value, json};

use super::layers;
use super::manifest::{MANIFEST, digest, media_type};
use super::{
    Repository, about, check_image_tag, cut, invalid, listed, repository, repository_mut, required,
};
use crate::clock;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::World;

pub(super) fn describe_images(world: &mut World, call: &Call) -> Result<Reply, Fault> {
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

pub(super) fn list_images(world: &mut World, call: &Call) -> Result<Reply, Fault> {
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

pub(super) fn batch_get_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
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
pub(super) fn batch_delete_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
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
pub(super) fn put_image(world: &mut World, call: &Call) -> Result<Reply, Fault> {
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

pub(super) fn check_move(repository: &Repository, tag: &str, digest: &str) -> Result<(), Fault> {
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

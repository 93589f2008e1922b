//! What is looked at before a rollout: the image, the roles. Must not judge it.

use ecspipe_deploy::ImageState;
use ecspipe_provision::CloudError;

use crate::Account;
use crate::classify::{OrMissing as _, Said as _};
use crate::survey::image_id;

/// The manifests that ECR is to give as they are: an index isn't to be resolved to one of its images.
const MANIFESTS: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

pub(super) async fn image_state(
    account: &Account,
    image: &str,
) -> Result<Option<ImageState>, CloudError> {
    let caller = account.caller().await?;
    let Some((repository, reference)) = own_image(image, &caller.account, &account.region) else {
        return Ok(None);
    };
    let call = account
        .ecr
        .batch_get_image()
        .repository_name(repository)
        .image_ids(image_id(reference))
        .set_accepted_media_types(Some(MANIFESTS.map(ToOwned::to_owned).to_vec()))
        .send()
        .await;
    let answer = call.said("ecr", "BatchGetImage").or_missing()?;
    let found = answer.iter().flat_map(|answer| answer.images()).next();
    Ok(Some(match found {
        Some(found) => ImageState::Found {
            architectures: architectures(found.image_manifest().unwrap_or_default()),
        },
        None => ImageState::Missing,
    }))
}

/// Repository and tag or digest of an image in the caller's registry and region.
fn own_image<'a>(image: &'a str, account: &str, region: &str) -> Option<(&'a str, &'a str)> {
    let (host, path) = image.split_once('/')?;
    let rest = host.strip_prefix(account)?.strip_prefix(".dkr.ecr.")?;
    rest.strip_prefix(region)?.strip_prefix(".amazonaws.com")?;
    Some(match path.split_once('@') {
        Some((name, digest)) => (name.split(':').next().unwrap_or(name), digest),
        None => path.split_once(':').unwrap_or((path, "latest")),
    })
}

/// The processors that an index of images names; a single image's manifest doesn't say.
fn architectures(manifest: &str) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let images = manifest["manifests"].as_array();
    let mut found: Vec<String> = images
        .into_iter()
        .flatten()
        .filter_map(|image| image["platform"]["architecture"].as_str())
        // What attests to an image beside it has none.
        .filter(|architecture| *architecture != "unknown")
        .map(ToOwned::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

pub(super) async fn role_exists(account: &Account, name: &str) -> Result<bool, CloudError> {
    let call = account.iam.get_role().role_name(name).send().await;
    Ok(call.said("iam", "GetRole").or_missing()?.is_some())
}

//! What is looked at before a rollout: the image, the roles. Must not judge it.

use ecspipe_deploy::ImageState;
use ecspipe_provision::{CloudError, CloudErrorKind};
use ecspipe_spec::ImageAddress;

use super::image::{Manifest, read_configuration, read_manifest};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _};
use crate::fetch::fetch;
use crate::survey::image_id;

/// The manifests that ECR is to give as they are: an index isn't to be resolved to one of its images.
const MANIFESTS: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

/// Configurations have some kilobytes.
const LARGEST: usize = 1 << 20;

pub(super) async fn image_state(
    account: &Account,
    image: &str,
) -> Result<Option<ImageState>, CloudError> {
    let ImageAddress {
        registry,
        repository,
        reference,
    } = ImageAddress::of(image);
    if registry != account.facts(false).await?.registry() {
        return Ok(None);
    }
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
    let Some(found) = found else {
        return Ok(Some(ImageState::Missing));
    };
    let state = match read_manifest(found.image_manifest().unwrap_or_default()) {
        Manifest::For(architectures) => ImageState::Found { architectures },
        Manifest::Configured(digest) => configured(account, repository, &digest).await?,
        Manifest::Silent(why) => ImageState::Unread(why),
    };
    Ok(Some(state))
}

/// What the configuration of a single image says; it is a layer like others.
async fn configured(
    account: &Account,
    repository: &str,
    digest: &str,
) -> Result<ImageState, CloudError> {
    let call = account
        .ecr
        .get_download_url_for_layer()
        .repository_name(repository)
        .layer_digest(digest)
        .send()
        .await;
    let url = match call.said("ecr", "GetDownloadUrlForLayer") {
        Ok(answer) => answer.download_url.unwrap_or_default(),
        Err(error)
            if matches!(
                error.kind,
                CloudErrorKind::NotFound | CloudErrorKind::Refused
            ) =>
        {
            let why = format!("ECR does not give its configuration ({})", error.message);
            return Ok(ImageState::Unread(why));
        }
        Err(error) => return Err(error),
    };
    // Where S3 can't be reached, tasks may reach it all the same.
    let configuration = match fetch(account, &url, LARGEST).await {
        Ok(configuration) => configuration,
        Err(error) => {
            let why = format!(
                "its configuration can't be fetched from S3 ({})",
                error.message
            );
            return Ok(ImageState::Unread(why));
        }
    };
    Ok(match read_configuration(&configuration) {
        Ok(architecture) => ImageState::Found {
            architectures: vec![architecture],
        },
        Err(why) => ImageState::Unread(why),
    })
}

pub(super) async fn role_exists(account: &Account, name: &str) -> Result<bool, CloudError> {
    let call = account.iam.get_role().role_name(name).send().await;
    Ok(call.said("iam", "GetRole").or_missing()?.is_some())
}

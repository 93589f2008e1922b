//! What an image consists of, by digest: its layers and its configuration. ECR gives a URL that it has signed, and S3 gives the
//! content to whoever has the URL. The bucket is AWS's own, as `prod-REGION-starport-layer-bucket` is. Must not change anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::manifest::{configuration, digest, processors};
use super::{Repository, invalid, repository, required};
use crate::clock::{self, Millis};
use crate::runtime::Image;
use crate::wire::{Call, Fault, Reply, rest};
use crate::world::World;

/// How long a URL is good for, in seconds.
const GOOD_FOR: Millis = 3600;

/// Whose access key the URLs are signed with.
const SIGNER: &str = "ASIAECRSTARPORTLAYER";

/// ECR's own bucket of a region.
fn bucket(region: &str) -> String {
    format!("prod-{region}-starport-layer-bucket")
}

/// `GetDownloadUrlForLayer`.
pub(super) fn download_url(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let account = world.account.clone();
    let layer = required(call, "layerDigest")?;
    check_digest(layer)?;
    let found = repository(world, call)?;
    let name = &found.name;
    if content(found, layer).is_none() {
        let place =
            format!("the repository with name '{name}' in the registry with id '{account}'");
        return Err(match found.loose.contains(layer) {
            true => Fault::new(
                "LayerInaccessibleException",
                format!(
                    "The layer with digest '{layer}' in {place} is not associated with an image"
                ),
            ),
            false => Fault::new(
                "LayersNotFoundException",
                format!("The layer with digest '{layer}' does not exist within {place}"),
            ),
        });
    }
    let path = format!("/{}/{account}/{name}/{layer}", bucket(&call.region));
    let at = world.now;
    let date = clock::compact(at);
    let day = date.split('T').next().unwrap_or_default();
    let url = format!(
        "{}{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SIGNER}%2F{day}%2F{}%2Fs3%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires={GOOD_FOR}&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        host(call),
        call.region,
        signature(&path, &date),
    );
    Ok(Reply::Value(
        json!({"downloadUrl": url, "layerDigest": layer}),
    ))
}

/// `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`.
fn check_digest(layer: &str) -> Result<(), Fault> {
    let sound = layer.split_once(':').is_some_and(|(algorithm, hex)| {
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
        !algorithm.is_empty()
            && algorithm.chars().all(legal)
            && !hex.is_empty()
            && hex.chars().all(|c| c.is_ascii_hexdigit())
    });
    match sound {
        true => Ok(()),
        false => Err(invalid(format!(
            "Invalid parameter at 'layerDigest' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'': {layer}"
        ))),
    }
}

/// Where the sandbox was asked is where it serves the content, too.
fn host(call: &Call) -> String {
    match call.http.headers.get("host") {
        Some(host) if !host.ends_with(".amazonaws.com") => format!("http://{host}"),
        _ => format!("https://s3.{}.amazonaws.com", call.region),
    }
}

/// Stands for AWS's: nobody else has the secret, so nobody else's URL has it.
fn signature(path: &str, date: &str) -> String {
    hex::encode(Sha256::digest(format!(
        "{SIGNER}\n{path}\n{date}\n{GOOD_FOR}"
    )))
}

/// Whether a call asks S3 for what ECR keeps there.
pub(crate) fn is_download(call: &Call) -> bool {
    call.service == "s3"
        && call.operation == "GetObject"
        && rest::bucket_and_key(&call.http).0 == bucket(&call.region)
}

/// What a URL gives. The URL says that it may be had, so nobody is asked for more.
pub(crate) fn download(world: &World, call: &Call) -> Result<Reply, Fault> {
    let query = |name: &str| call.http.query.get(name).map(String::as_str);
    let refused = |code: &str, message: &str| Err(Fault::new(code, message).status(403));
    let Some(signed) = query("X-Amz-Signature") else {
        return refused("AccessDenied", "Access Denied");
    };
    if call.http.headers.contains_key("authorization") {
        let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified";
        return Err(Fault::new("InvalidArgument", message));
    }
    let (bucket, key) = rest::bucket_and_key(&call.http);
    let date = query("X-Amz-Date").unwrap_or_default();
    if signed != signature(&format!("/{bucket}/{key}"), date) {
        let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
        return refused("SignatureDoesNotMatch", message);
    }
    // The time is in the signature, so it is one that was written here.
    if clock::of_compact(date).is_none_or(|at| world.now > at + GOOD_FOR * 1000) {
        return refused("AccessDenied", "Request has expired");
    }
    let found = found(world, &call.region, &key)
        .ok_or_else(|| Fault::new("NoSuchKey", "The specified key does not exist.").status(404))?;
    let media = (
        "content-type".to_owned(),
        "application/octet-stream".to_owned(),
    );
    Ok(Reply::Raw(200, vec![media], Bytes::from(found)))
}

/// By `account/repository/digest`.
fn found(world: &World, region: &str, key: &str) -> Option<Vec<u8>> {
    let (repository, digest) = key.split_once('/')?.1.rsplit_once('/')?;
    let ecr = &world.regions.get(region)?.ecr;
    content(ecr.repositories.get(repository)?, digest)
}

fn content(repository: &Repository, digest: &str) -> Option<Vec<u8>> {
    let mut images = repository.images.values();
    images.find_map(|stored| parts(&stored.image).remove(digest))
}

/// Every layer and every configuration of an image, by digest.
pub(super) fn parts(image: &Image) -> BTreeMap<String, Vec<u8>> {
    let layers = image.files.values().map(|file| file.0.clone());
    let configurations = processors(image)
        .into_iter()
        .map(|processor| configuration(image, &processor).into_bytes());
    layers
        .chain(configurations)
        .map(|content| (digest(&content), content))
        .collect()
}

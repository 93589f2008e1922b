//! What an image's manifests and configurations say. Equal content has equal ones, so their digests are equal too.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::runtime::Image;

/// The media type of the manifests that the sandbox writes.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The media type of what names a manifest for each of several processors.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn media_type(image: &Image) -> &'static str {
    match image.architectures.len() {
        0 | 1 => MANIFEST,
        _ => INDEX,
    }
}

/// An OCI manifest of the image; where it was built for several processors an index of one for each. Equal content has equal ones.
pub(super) fn manifest(image: &Image) -> String {
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
pub(super) fn processors(image: &Image) -> Vec<String> {
    match image.architectures.as_slice() {
        [] => vec!["amd64".to_owned()],
        named => named.to_vec(),
    }
}

/// The configuration for a processor.
pub(super) fn configuration(image: &Image, processor: &str) -> String {
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

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

//! What an image's manifest and its configuration say about processors. Pure; must not judge it.

use serde_json::Value;

/// The configurations of container images. What isn't one (a chart, a plug-in) has another.
const CONFIGURATIONS: [&str; 2] = [
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
];

/// What a manifest says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    /// It is a list of images, for these processors.
    For(Vec<String>),
    /// It is a single image's: the configuration of this digest says more.
    Configured(String),
    /// It says nothing about processors, for this reason.
    Silent(String),
}

pub(super) fn read_manifest(manifest: &str) -> Manifest {
    let Ok(manifest) = serde_json::from_str::<Value>(manifest) else {
        return Manifest::Silent("its manifest is no JSON".to_owned());
    };
    if let Some(images) = manifest["manifests"].as_array() {
        return match processors(images) {
            found if found.is_empty() => {
                Manifest::Silent("its list of images names no processor".to_owned())
            }
            found => Manifest::For(found),
        };
    }
    let config = &manifest["config"];
    match (config["mediaType"].as_str(), config["digest"].as_str()) {
        (Some(media), Some(digest)) if CONFIGURATIONS.contains(&media) => {
            Manifest::Configured(digest.to_owned())
        }
        (Some(media), _) => {
            Manifest::Silent(format!("its configuration is no image's, but {media}"))
        }
        _ => Manifest::Silent("its manifest names no configuration".to_owned()),
    }
}

fn processors(images: &[Value]) -> Vec<String> {
    let mut found: Vec<String> = images
        .iter()
        .filter_map(|image| processor(&image["platform"]))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The processor that a configuration, or a list's entry, names. What attests to an image beside it has none.
fn processor(platform: &Value) -> Option<String> {
    let text = |member: &str| platform[member].as_str().filter(|text| !text.is_empty());
    let processor = match (text("architecture")?, text("variant")) {
        ("unknown", _) => return None,
        // Builders that don't say it as Docker does.
        ("x86_64" | "x86-64", _) => "amd64".to_owned(),
        ("aarch64", _) => "arm64".to_owned(),
        // The variants of other processors are of no matter: each has one that all of its kind run.
        ("arm", Some(variant)) => format!("arm/{variant}"),
        (architecture, _) => architecture.to_owned(),
    };
    Some(match text("os") {
        None | Some("linux") => processor,
        Some(os) => format!("{os}/{processor}"),
    })
}

/// The processor that an image's configuration names, or why that can't be seen.
pub(super) fn read_configuration(configuration: &[u8]) -> Result<String, String> {
    let configuration: Value = serde_json::from_slice(configuration)
        .map_err(|_| "its configuration is no JSON".to_owned())?;
    processor(&configuration).ok_or_else(|| "its configuration names no processor".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_names_the_processors_of_its_images() {
        let images = |platforms: &[Value]| {
            let entries: Vec<Value> = platforms
                .iter()
                .map(|platform| json!({"digest": "sha256:1", "platform": platform}))
                .collect();
            read_manifest(&json!({"manifests": entries}).to_string())
        };
        let several = images(&[
            json!({"os": "linux", "architecture": "arm64", "variant": "v8"}),
            json!({"os": "linux", "architecture": "amd64"}),
            json!({"os": "linux", "architecture": "arm", "variant": "v7"}),
            json!({"os": "windows", "architecture": "amd64"}),
            json!({"os": "unknown", "architecture": "unknown"}),
        ]);
        let want = ["amd64", "arm/v7", "arm64", "windows/amd64"];
        assert_eq!(several, Manifest::For(want.map(ToOwned::to_owned).to_vec()));
        assert!(matches!(images(&[Value::Null]), Manifest::Silent(_)));
    }

    #[test]
    fn a_single_image_names_its_configuration() {
        let of = |media: &str| {
            let config = json!({"mediaType": media, "digest": "sha256:1", "size": 2});
            read_manifest(&json!({"config": config, "layers": []}).to_string())
        };
        for media in CONFIGURATIONS {
            assert_eq!(of(media), Manifest::Configured("sha256:1".to_owned()));
        }
        let chart = "application/vnd.cncf.helm.config.v1+json";
        let want = format!("its configuration is no image's, but {chart}");
        assert_eq!(of(chart), Manifest::Silent(want));
        for nothing in ["", "{}"] {
            assert!(matches!(read_manifest(nothing), Manifest::Silent(_)));
        }
    }

    #[test]
    fn a_configuration_names_a_processor() {
        let of = |configuration: &str| read_configuration(configuration.as_bytes());
        for (configuration, want) in [
            (
                r#"{"os": "linux", "architecture": "arm64", "variant": "v8"}"#,
                "arm64",
            ),
            (r#"{"architecture": "x86_64"}"#, "amd64"),
            (r#"{"os": "linux", "architecture": "aarch64"}"#, "arm64"),
        ] {
            assert_eq!(of(configuration), Ok(want.to_owned()));
        }
        for silent in [r#"{"os": "linux", "architecture": ""}"#, "<html>"] {
            assert!(of(silent).is_err(), "{silent}");
        }
    }
}

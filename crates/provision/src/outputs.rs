//! What a user wants to know of an app that is up: addresses and names. Must not ask the account again.

use std::collections::BTreeMap;

use ecspipe_spec::Spec;
use serde::{Deserialize, Serialize};

use crate::cloud::Made;
use crate::existing::Existing;
use crate::resource::{Key, Kind};

/// Addresses and names of an app. What doesn't exist (yet) is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Where everyone reaches the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production_url: Option<String>,
    /// Where a new version is looked at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_url: Option<String>,
    /// Where to push to with git, over HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_url_http: Option<String>,
    /// Where to push to with git, over SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_url_ssh: Option<String>,
    /// The URI of the image repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The ECS cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The ECS service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The CodeDeploy application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_application: Option<String>,
    /// The CodeDeploy deployment group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_group: Option<String>,
    /// The pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The bucket that the bundle is put into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_bucket: Option<String>,
}

/// The outputs of `spec`'s app from what is known of its resources, [`crate::Inventory::known`] or [`crate::Outcome::known`],
/// and from what it uses of others.
pub fn outputs(known: &BTreeMap<Key, Made>, spec: &Spec, existing: &Existing) -> Outputs {
    let get = |kind, name: &str| known.get(&Key::new(kind, name));
    let id = |kind, name: &str| get(kind, name).map(|made| made.id.clone());
    let attribute =
        |kind, of: &str| get(kind, "main").and_then(|made| made.attributes.get(of).cloned());
    let host = match &existing.load_balancer {
        Some(balancer) => Some(balancer.dns_name.clone()),
        None => attribute(Kind::LoadBalancer, "dns_name"),
    };
    let cluster = match &existing.cluster {
        Some(cluster) => Some(cluster.name.clone()),
        None => id(Kind::Cluster, "main"),
    };
    let url = |listener: &str, port: u16| {
        let host = host
            .as_ref()
            .filter(|_| get(Kind::Listener, listener).is_some())?;
        Some(if port == 80 {
            format!("http://{host}")
        } else {
            format!("http://{host}:{port}")
        })
    };
    Outputs {
        production_url: url("production", spec.load_balancer.production.port),
        test_url: url("test", spec.load_balancer.test.port),
        clone_url_http: attribute(Kind::SourceRepository, "clone_url_http"),
        clone_url_ssh: attribute(Kind::SourceRepository, "clone_url_ssh"),
        repository: attribute(Kind::ImageRepository, "uri"),
        cluster,
        service: id(Kind::Service, "main"),
        deployment_application: id(Kind::DeploymentApplication, "main"),
        deployment_group: id(Kind::DeploymentGroup, "main"),
        pipeline: id(Kind::Pipeline, "main"),
        bundle_bucket: id(Kind::Bucket, "artifacts"),
    }
}

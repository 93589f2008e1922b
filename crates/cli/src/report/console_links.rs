//! Where AWS's consoles show a rollout. Must not ask whether anything is there.

use ecspipe_deploy::Target;
use ecspipe_spec::Facts;
use serde::Serialize;

/// Addresses of consoles for one app in one place.
#[derive(Debug, Clone)]
pub(crate) struct Consoles {
    host: String,
    region: String,
    pipeline: String,
    cluster: String,
    service: String,
    log_group: String,
}

/// A name and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    /// What is there.
    pub(crate) name: String,
    /// The address.
    pub(crate) url: String,
}

impl Consoles {
    /// The consoles of a partition; `None` for one whose consoles aren't known.
    pub(crate) fn new(facts: &Facts, target: &Target) -> Option<Self> {
        let domain = match facts.partition.as_str() {
            "aws" => "console.aws.amazon.com",
            "aws-cn" => "console.amazonaws.cn",
            "aws-us-gov" => "console.amazonaws-us-gov.com",
            _ => return None,
        };
        Some(Self {
            host: format!("https://{}.{domain}", facts.region),
            region: facts.region.clone(),
            pipeline: target.pipeline.clone(),
            cluster: target.cluster.clone(),
            service: target.service.clone(),
            log_group: target.log_group.clone(),
        })
    }

    /// An execution of the pipeline.
    pub(crate) fn execution(&self, id: &str) -> Link {
        let path = format!("pipelines/{}/executions/{id}/visualization", self.pipeline);
        self.link(
            "pipeline execution",
            &format!("codesuite/codepipeline/{path}"),
        )
    }

    /// A deployment.
    pub(crate) fn deployment(&self, id: &str) -> Link {
        self.link(
            &format!("deployment {id}"),
            &format!("codesuite/codedeploy/deployments/{id}"),
        )
    }

    /// The service.
    pub(crate) fn service(&self) -> Link {
        let path = format!(
            "ecs/v2/clusters/{}/services/{}/health",
            self.cluster, self.service
        );
        self.link("service", &path)
    }

    /// What the tasks log.
    pub(crate) fn log(&self) -> Link {
        // The console's own way to write a slash within its address.
        let group = self.log_group.replace('/', "$252F");
        Link {
            name: "log".to_owned(),
            url: format!(
                "{}/cloudwatch/home?region={}#logsV2:log-groups/log-group/{group}",
                self.host, self.region
            ),
        }
    }

    fn link(&self, name: &str, path: &str) -> Link {
        Link {
            name: name.to_owned(),
            url: format!("{}/{path}?region={}", self.host, self.region),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        let spec = ecspipe_spec::parse("version: 1\napp: web\nservice: { port: 80 }\n").unwrap();
        for (region, want) in [
            (
                "eu-central-1",
                "https://eu-central-1.console.aws.amazon.com/codesuite/codedeploy/deployments/d-1?region=eu-central-1",
            ),
            (
                "cn-north-1",
                "https://cn-north-1.console.amazonaws.cn/codesuite/codedeploy/deployments/d-1?region=cn-north-1",
            ),
            (
                "us-gov-west-1",
                "https://us-gov-west-1.console.amazonaws-us-gov.com/codesuite/codedeploy/deployments/d-1?region=us-gov-west-1",
            ),
        ] {
            let facts = Facts::new("111122223333", region);
            let consoles = Consoles::new(&facts, &Target::new(&spec, &facts)).unwrap();
            assert_eq!(consoles.deployment("d-1").url, want);
        }
        let facts = Facts {
            partition: "aws-iso".to_owned(),
            ..Facts::new("111122223333", "us-iso-east-1")
        };
        assert!(Consoles::new(&facts, &Target::new(&spec, &facts)).is_none());
    }
}

//! What an app uses and ecspipe doesn't make: how the spec refers to it, and under which names the rest of the app knows it.
//! Must not look anything up: what only the account knows comes in [`Facts::existing`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::RoleName;
use crate::{Facts, LoadBalancer, Names, Network, Spec};

/// How something that exists is found. Exactly one thing must answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// By its id or its ARN.
    Id(String),
    /// By its name; of a VPC that is its tag `Name`, of a key its alias.
    Name(String),
    /// By tags, all of which it must carry.
    Tags(BTreeMap<String, String>),
}

/// How several subnets that exist are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subnets {
    /// By their ids.
    Ids(Vec<String>),
    /// All subnets of the VPC that carry these tags.
    Tags(BTreeMap<String, String>),
}

/// Something of which the app uses one that exists, in the place of one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// How it is found.
    pub existing: Reference,
}

/// A VPC that exists, and which of its subnets the app uses. Neither routes nor gateways nor endpoints are made in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExistingNetwork {
    /// The VPC.
    pub vpc: Reference,
    /// The load balancer's subnets; `None` where the load balancer exists too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<Subnets>,
    /// The tasks' subnets.
    pub private: Subnets,
}

/// Names and ARNs of what an app uses and ecspipe didn't make. What isn't here is the app's own, or is written in the spec.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExistingNames {
    /// The name of the ECS cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The name of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<String>,
    /// The ARNs of roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<RoleName, String>,
}

impl ExistingNames {
    /// Whether nothing is known, or nothing exists.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Reference {
    /// The last part of the ARN that it is: a cluster's name.
    fn last(&self) -> Option<&str> {
        match self {
            Self::Id(arn) => arn.rsplit('/').next(),
            Self::Name(name) => Some(name),
            Self::Tags(_) => None,
        }
    }

    /// The name of a load balancer, which its ARN holds before an id: `…:loadbalancer/app/NAME/ID`.
    fn balancer_name(&self) -> Option<&str> {
        match self {
            Self::Id(arn) => arn.rsplit('/').nth(1),
            Self::Name(name) => Some(name),
            Self::Tags(_) => None,
        }
    }
}

impl Network {
    /// Whether ecspipe makes the network.
    pub fn is_own(&self) -> bool {
        self.existing.is_none()
    }
}

impl LoadBalancer {
    /// Whether ecspipe makes the load balancer.
    pub fn is_own(&self) -> bool {
        self.existing.is_none()
    }
}

/// Under which names the app knows what may exist already.
impl Spec {
    /// Whether the app uses anything that ecspipe doesn't make, and by an id that only the account knows.
    pub fn uses_existing(&self) -> bool {
        !self.network.is_own()
            || !self.load_balancer.is_own()
            || self.cluster.is_some()
            || self.kms_key.is_some()
            || self.permissions_boundary.is_some()
            || !self.roles.is_empty()
    }

    /// The name of the ECS cluster: the app's own name, or that of the existing one.
    pub fn cluster_name(&self, facts: &Facts) -> String {
        let own = || Names::new(&self.app, facts).app().to_owned();
        let Some(given) = &self.cluster else {
            return own();
        };
        let known = facts.existing.cluster.as_deref();
        known
            .or(given.existing.last())
            .map_or_else(own, ToOwned::to_owned)
    }

    /// The name of the load balancer: derived from the app's name, or that of the existing one.
    pub fn load_balancer_name(&self, facts: &Facts) -> String {
        let own = || Names::new(&self.app, facts).load_balancer();
        let Some(existing) = &self.load_balancer.existing else {
            return own();
        };
        let known = facts.existing.load_balancer.as_deref();
        known
            .or(existing.balancer_name())
            .map_or_else(own, ToOwned::to_owned)
    }

    /// The ARN of a role: of the app's own, with the spec's path, or of the existing one.
    pub fn role_arn(&self, facts: &Facts, role: RoleName) -> String {
        match (
            facts.existing.roles.get(&role),
            self.roles.get(&role).map(|given| &given.existing),
        ) {
            (Some(arn), Some(_)) | (None, Some(Reference::Id(arn))) => arn.clone(),
            // A name leaves the path open: it is looked up where that is possible.
            (None, Some(Reference::Name(name))) => self.iam_role(facts, "/", name),
            (_, None) | (None, Some(Reference::Tags(_))) => {
                let name = Names::new(&self.app, facts).role(role);
                self.iam_role(facts, &self.role_path, &name)
            }
        }
    }

    /// The keys of roles that the deployment's files name and that only the account can tell: neither `facts` nor the spec
    /// itself holds their ARN.
    pub fn unknown_roles(&self, facts: &Facts) -> Vec<String> {
        let named_in_files = [RoleName::Execution, RoleName::Task];
        let open = |role: &RoleName| {
            let given = self.roles.get(role).map(|given| &given.existing);
            !facts.existing.roles.contains_key(role)
                && matches!(given, Some(Reference::Name(_) | Reference::Tags(_)))
        };
        named_in_files
            .into_iter()
            .filter(open)
            .map(|role| format!("roles.{}", role.suffix()))
            .collect()
    }

    fn iam_role(&self, facts: &Facts, path: &str, name: &str) -> String {
        format!(
            "arn:{}:iam::{}:role{path}{name}",
            facts.partition, facts.account
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NETWORK: &str =
        "network: { existing: { vpc: { name: shared }, private: { tags: { tier: private } } } }";

    fn spec(extra: &str) -> Spec {
        let text = format!("version: 1\napp: web\nservice: {{ port: 80 }}\n{extra}");
        crate::parse(&text).unwrap()
    }

    fn facts() -> Facts {
        Facts::new("111122223333", "eu-central-1")
    }

    #[test]
    fn the_name_of_a_cluster() {
        let arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/shared";
        for (extra, want) in [
            (String::new(), "web"),
            (
                "cluster: { existing: { name: shared } }\n".to_owned(),
                "shared",
            ),
            (
                format!("cluster: {{ existing: {{ id: '{arn}' }} }}\n"),
                "shared",
            ),
        ] {
            assert_eq!(spec(&extra).cluster_name(&facts()), want, "{extra}");
        }
        let mut facts = facts();
        facts.existing.cluster = Some("looked-up".to_owned());
        let by_tags = spec("cluster: { existing: { tags: { team: platform } } }\n");
        assert_eq!(by_tags.cluster_name(&facts), "looked-up");
    }

    #[test]
    fn the_name_of_a_load_balancer() {
        let arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/shared/50dc6c495c0c9188";
        for existing in ["name: shared".to_owned(), format!("id: '{arn}'")] {
            let spec = spec(&format!(
                "{NETWORK}\nload_balancer: {{ existing: {{ {existing} }} }}\n"
            ));
            assert_eq!(spec.load_balancer_name(&facts()), "shared", "{existing}");
        }
        assert_eq!(spec("").load_balancer_name(&facts()), "web");
    }

    #[test]
    fn the_arns_of_roles() {
        let task = |extra: &str, facts: &Facts| spec(extra).role_arn(facts, RoleName::Task);
        let iam = "arn:aws:iam::111122223333:role";
        assert_eq!(task("", &facts()), format!("{iam}/web-eu-central-1-task"));
        assert_eq!(
            task("role_path: /apps/\n", &facts()),
            format!("{iam}/apps/web-eu-central-1-task")
        );
        let given = format!(
            "roles: {{ task: {{ existing: {{ id: '{iam}/a/mine' }} }} }}\nrole_path: /apps/\n"
        );
        assert_eq!(task(&given, &facts()), format!("{iam}/a/mine"));
        let named = "roles: { task: { existing: { name: mine } } }\n";
        assert_eq!(spec(named).unknown_roles(&facts()), ["roles.task"]);
        let mut known = facts();
        known
            .existing
            .roles
            .insert(RoleName::Task, format!("{iam}/b/mine"));
        assert_eq!(task(named, &known), format!("{iam}/b/mine"));
        assert_eq!(spec(named).unknown_roles(&known), Vec::<String>::new());
        assert_eq!(spec(&given).unknown_roles(&facts()), Vec::<String>::new());
    }
}

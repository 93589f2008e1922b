//! Rules for what exists already: how ids, names and tags are written, and what can't stand beside what. Whether it exists is
//! the account's matter. Must not read YAML.

use std::collections::BTreeMap;

use super::Rules;
use crate::names::RoleName;
use crate::raw::{self, Field, Pairs};
use crate::rules::{self, Arn};
use crate::{ExistingNetwork, Given, Reference, Subnets, tree};

/// Where the app must be, as far as the file says it.
pub(super) struct Home<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) region: Option<&'a str>,
}

/// What the app uses and ecspipe doesn't make, and what is said of the roles that it does make.
pub(super) struct Shared {
    pub(super) network: Option<ExistingNetwork>,
    pub(super) cluster: Option<Given>,
    pub(super) load_balancer: Option<Reference>,
    pub(super) kms_key: Option<Given>,
    pub(super) roles: BTreeMap<RoleName, Given>,
    pub(super) permissions_boundary: Option<Reference>,
    pub(super) role_path: String,
}

/// What a reference may point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Vpc,
    Cluster,
    LoadBalancer,
    Key,
    Role,
    Policy,
}

impl Rules<'_> {
    pub(super) fn shared(&mut self, raw: &raw::Spec, home: &Home<'_>) -> Shared {
        let network = raw.network.as_ref().map(|field| &field.value);
        let balancer = raw.load_balancer.as_ref().map(|field| &field.value);
        if let Some(network) = network.filter(|network| network.existing.is_some()) {
            self.alone(network);
        }
        if let Some((balancer, existing)) =
            balancer.and_then(|balancer| Some((balancer, balancer.existing.as_ref()?)))
        {
            self.beside_balancer(balancer, existing, network);
        } else if let Some(existing) = network.and_then(|network| network.existing.as_ref()) {
            self.needs_public(existing);
        }
        let existing_balancer = balancer.and_then(|balancer| balancer.existing.as_ref());
        Shared {
            network: network
                .and_then(|network| network.existing.as_ref())
                .and_then(|existing| self.existing_network(&existing.value, home)),
            cluster: self.given(raw.cluster.as_ref(), Thing::Cluster, home),
            load_balancer: existing_balancer
                .and_then(|field| self.reference(&field.value, Thing::LoadBalancer, home)),
            kms_key: self.given(raw.kms_key.as_ref(), Thing::Key, home),
            roles: self.roles(raw.roles.as_ref(), home),
            permissions_boundary: raw
                .permissions_boundary
                .as_ref()
                .and_then(|field| self.reference(&field.value, Thing::Policy, home)),
            role_path: self.checked(raw.role_path.as_ref(), "/", rules::role_path),
        }
    }

    /// An existing network has its own ranges, zones and ways out.
    fn alone(&mut self, network: &raw::Network) {
        let hint = || Some("leave it out: it is the existing network's own".to_owned());
        if let Some(field) = &network.cidr {
            self.broken(field, "`cidr` can't be set beside `existing`", hint());
        }
        if let Some(field) = &network.zones {
            self.broken(field, "`zones` can't be set beside `existing`", hint());
        }
        if let Some(field) = &network.nat {
            self.broken(field, "`nat` can't be set beside `existing`", hint());
        }
    }

    /// An existing balancer stands in a network that exists, on subnets of its own, behind security groups of its own.
    fn beside_balancer(
        &mut self,
        balancer: &raw::LoadBalancer,
        existing: &Field<raw::Reference>,
        network: Option<&raw::Network>,
    ) {
        match network.and_then(|network| network.existing.as_ref()) {
            None => {
                let hint = "name its VPC: `network: { existing: { vpc: …, private: … } }`";
                let message = "an existing load balancer needs `network.existing`: the tasks must be in its VPC";
                self.broken(existing, message, Some(hint.to_owned()));
            }
            Some(network) => {
                if let Some(field) = &network.value.public {
                    let message =
                        "`public` can't be set beside `load_balancer.existing`, which has subnets";
                    self.broken(field, message, Some("leave it out".to_owned()));
                }
            }
        }
        let allow = [
            balancer
                .production
                .as_ref()
                .and_then(|listener| listener.value.allow.as_ref()),
            balancer
                .test
                .as_ref()
                .and_then(|listener| listener.value.allow.as_ref()),
        ];
        for field in allow.into_iter().flatten() {
            let message = "`allow` can't be set beside `load_balancer.existing`: its security groups say who may reach it";
            self.broken(field, message, Some("leave it out".to_owned()));
        }
    }

    fn needs_public(&mut self, existing: &Field<raw::ExistingNetwork>) {
        if existing.value.public.is_none() {
            let message = "the load balancer needs `public` subnets";
            let hint = "name them (`public: { tags: … }`), or a `load_balancer.existing`";
            self.broken(existing, message, Some(hint.to_owned()));
        }
    }

    fn existing_network(
        &mut self,
        raw: &raw::ExistingNetwork,
        home: &Home<'_>,
    ) -> Option<ExistingNetwork> {
        let vpc = raw
            .vpc
            .as_ref()
            .and_then(|field| self.reference(&field.value, Thing::Vpc, home));
        let public = raw
            .public
            .as_ref()
            .and_then(|field| self.subnets(&field.value));
        let private = raw
            .private
            .as_ref()
            .and_then(|field| self.subnets(&field.value));
        Some(ExistingNetwork {
            vpc: vpc?,
            public,
            private: private?,
        })
    }

    fn subnets(&mut self, raw: &raw::Subnets) -> Option<Subnets> {
        match raw {
            raw::Subnets::Tags(tags) => self.tags_of(tags).map(Subnets::Tags),
            raw::Subnets::Ids(field) => {
                if field.value.is_empty() {
                    let hint = "name a subnet, such as `subnet-0123456789abcdef0`";
                    self.broken(field, "no subnet is named", Some(hint.to_owned()));
                }
                let mut ids: Vec<String> = Vec::new();
                for item in &field.value {
                    if !rules::is_ec2_id(&item.value, "subnet-") {
                        let message =
                            format!("`{}` is not the id of a subnet", tree::shorten(&item.value));
                        let hint = "an id is written like `subnet-0123456789abcdef0`";
                        self.broken(item, message, Some(hint.to_owned()));
                    } else if ids.contains(&item.value) {
                        let hint = Some("keep one of them".to_owned());
                        self.broken(item, format!("{} is here twice", item.value), hint);
                    } else {
                        ids.push(item.value.clone());
                    }
                }
                Some(Subnets::Ids(ids))
            }
        }
    }

    fn given(
        &mut self,
        field: Option<&Field<raw::Given>>,
        thing: Thing,
        home: &Home<'_>,
    ) -> Option<Given> {
        let existing = field?.value.existing.as_ref()?;
        let existing = self.reference(&existing.value, thing, home)?;
        Some(Given { existing })
    }

    fn roles(
        &mut self,
        field: Option<&Field<raw::Roles>>,
        home: &Home<'_>,
    ) -> BTreeMap<RoleName, Given> {
        let Some(Field { value: raw, .. }) = field else {
            return BTreeMap::new();
        };
        let each = [
            (RoleName::Execution, &raw.execution),
            (RoleName::Task, &raw.task),
            (RoleName::CodeDeploy, &raw.codedeploy),
            (RoleName::CodeBuild, &raw.codebuild),
            (RoleName::CodePipeline, &raw.codepipeline),
            (RoleName::Events, &raw.events),
        ];
        each.into_iter()
            .filter_map(|(role, field)| {
                Some((role, self.given(field.as_ref(), Thing::Role, home)?))
            })
            .collect()
    }

    fn reference(
        &mut self,
        raw: &raw::Reference,
        thing: Thing,
        home: &Home<'_>,
    ) -> Option<Reference> {
        match raw {
            raw::Reference::Tags(tags) => self.tags_of(tags).map(Reference::Tags),
            raw::Reference::Name(field) => {
                if !thing.is_name(&field.value) {
                    let (label, example) = (thing.label(), thing.name_example());
                    let message = format!(
                        "`{}` is not the name of {label}",
                        tree::shorten(&field.value)
                    );
                    self.broken(
                        field,
                        message,
                        Some(format!("a name is written like `{example}`")),
                    );
                }
                Some(Reference::Name(field.value.clone()))
            }
            raw::Reference::Id(field) => {
                if let Err((message, hint)) = thing.check_id(&field.value, home) {
                    self.broken(field, message, Some(hint));
                }
                Some(Reference::Id(field.value.clone()))
            }
        }
    }

    fn tags_of(&mut self, field: &Field<Pairs>) -> Option<BTreeMap<String, String>> {
        if field.value.is_empty() {
            let hint = "name a tag and its value: `tags: { team: platform }`";
            self.broken(
                field,
                "no tag is named, so everything would do",
                Some(hint.to_owned()),
            );
            return None;
        }
        for (key, value) in &field.value {
            let fits =
                (1..=128).contains(&key.chars().count()) && value.value.0.chars().count() <= 256;
            if !fits {
                let hint = "a key has 1 to 128 characters, a value at most 256";
                let message = format!("no tag is called `{}`", tree::shorten(key));
                self.broken(value, message, Some(hint.to_owned()));
            }
        }
        Some(super::plain(&field.value))
    }
}

impl Thing {
    fn label(self) -> &'static str {
        match self {
            Self::Vpc => "a VPC",
            Self::Cluster => "an ECS cluster",
            Self::LoadBalancer => "an application load balancer",
            Self::Key => "a KMS key",
            Self::Role => "an IAM role",
            Self::Policy => "a managed policy",
        }
    }

    fn is_name(self, name: &str) -> bool {
        let word = |most: usize, more: &str| {
            (1..=most).contains(&name.chars().count())
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        match self {
            // The value of a tag.
            Self::Vpc => (1..=256).contains(&name.chars().count()),
            Self::Cluster => word(255, "_-"),
            Self::LoadBalancer => word(32, "-"),
            Self::Key => word(256, "/_-"),
            Self::Role => word(64, "_+=,.@-"),
            Self::Policy => word(128, "_+=,.@-"),
        }
    }

    fn name_example(self) -> &'static str {
        match self {
            Self::Vpc | Self::Cluster | Self::LoadBalancer => "shared",
            Self::Key => "alias/shared",
            Self::Role => "team-task",
            Self::Policy => "developer-boundary",
        }
    }

    fn id_example(self) -> &'static str {
        match self {
            Self::Vpc => "vpc-0123456789abcdef0",
            Self::Cluster => "arn:aws:ecs:REGION:ACCOUNT:cluster/NAME",
            Self::LoadBalancer => {
                "arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID"
            }
            Self::Key => "arn:aws:kms:REGION:ACCOUNT:key/ID",
            Self::Role => "arn:aws:iam::ACCOUNT:role/NAME",
            Self::Policy => "arn:aws:iam::ACCOUNT:policy/NAME",
        }
    }

    /// The service of its ARN, how the resource of it begins, and how many parts there are behind that at the least.
    fn arn_form(self) -> Option<(&'static str, &'static str, usize)> {
        match self {
            Self::Vpc => None,
            Self::Cluster => Some(("ecs", "cluster/", 1)),
            Self::LoadBalancer => Some(("elasticloadbalancing", "loadbalancer/app/", 2)),
            Self::Key => Some(("kms", "key/", 1)),
            Self::Role => Some(("iam", "role/", 1)),
            Self::Policy => Some(("iam", "policy/", 1)),
        }
    }

    /// The error is what is wrong, and the hint.
    fn check_id(self, id: &str, home: &Home<'_>) -> Result<(), (String, String)> {
        let bare = match self {
            Self::Vpc => rules::is_ec2_id(id, "vpc-"),
            Self::Key => rules::is_key_id(id),
            _ => false,
        };
        if bare {
            return Ok(());
        }
        let arn = self
            .arn_form()
            .and_then(|(service, start, parts)| {
                let arn = Arn::parse(id).filter(|arn| arn.service == service)?;
                let rest: Vec<&str> = arn.resource.strip_prefix(start)?.split('/').collect();
                let sound = rest.len() >= parts && rest.iter().all(|part| !part.is_empty());
                sound.then_some(arn)
            })
            .ok_or_else(|| {
                let what = if self == Self::Vpc {
                    "the id"
                } else {
                    "the ARN"
                };
                let message = format!("`{}` is not {what} of {}", tree::shorten(id), self.label());
                (
                    message,
                    format!("it is written like `{}`", self.id_example()),
                )
            })?;
        self.check_home(&arn, home)
    }

    /// What is used must be where the app is; a key may be another account's, and a policy AWS's own.
    fn check_home(self, arn: &Arn<'_>, home: &Home<'_>) -> Result<(), (String, String)> {
        let regional = !arn.region.is_empty();
        if let Some(region) = home
            .region
            .filter(|region| regional && *region != arn.region)
        {
            let message = format!("it is in region {}, the app in {region}", arn.region);
            return Err((message, format!("name one of {region}")));
        }
        let elsewhere =
            |account: &&str| self != Self::Key && arn.account != "aws" && *account != arn.account;
        if let Some(account) = home.account.filter(elsewhere) {
            let message = format!("it is in account {}, the app in {account}", arn.account);
            return Err((message, format!("name one of account {account}")));
        }
        Ok(())
    }
}

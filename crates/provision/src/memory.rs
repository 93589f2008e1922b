//! A cloud in memory, for tests of the engine and of whoever uses it: several apps in one account, with AWS's own order of
//! things (no deletion of what is used, no gateway without a network), counters, and failures on demand.
//! Must not be more lenient than AWS where the engine relies on it, nor know how the engine orders its work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use ipnet::Ipv4Net;

use crate::cloud::{
    Cloud, CloudError, CloudErrorKind, Have, Listing, Made, Progress, Scope, Tags, Targets,
};
use crate::graph::tokens;
use crate::plan::Change;
use crate::resource::{Key, Kind, ORDER_ONLY, Policy, Resource, Traffic};

/// A cloud in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

/// How many calls were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Listings.
    pub list: usize,
    /// Creations.
    pub create: usize,
    /// Changes.
    pub update: usize,
    /// Deletions.
    pub delete: usize,
    /// The most writes that were in flight at the same time.
    pub most_in_flight: usize,
}

impl Calls {
    /// Creations, changes and deletions.
    pub fn writes(&self) -> usize {
        self.create + self.update + self.delete
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens.
    Refused,
    /// Everything happens, but the answer is lost.
    AnswerLost,
    /// The resource is made without what is set on it afterwards; like [`Self::AnswerLost`] where that is nothing.
    Half,
}

#[derive(Debug, Default)]
struct State {
    things: Vec<Have>,
    calls: Calls,
    faults: BTreeMap<usize, Fault>,
    unlistable: BTreeSet<Kind>,
    targets: BTreeMap<String, Targets>,
    in_flight: usize,
    made: usize,
}

impl Memory {
    /// An empty account.
    pub fn new() -> Self {
        Self::default()
    }

    /// The calls since the account was made, or since [`Self::reset`].
    pub fn calls(&self) -> Calls {
        self.state().calls
    }

    /// Sets the counters to zero and forgets faults that haven't happened.
    pub fn reset(&self) {
        let mut state = self.state();
        state.calls = Calls::default();
        state.faults.clear();
        state.unlistable.clear();
    }

    /// Lets the write call number `call`, counted from zero since the last reset, fail.
    pub fn fail(&self, call: usize, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    /// Lets every listing of `kind` fail.
    pub fn fail_listing(&self, kind: Kind) {
        self.state().unlistable.insert(kind);
    }

    /// Says how the targets of the target group `id` stand; one healthy target each otherwise.
    pub fn set_targets(&self, id: &str, targets: Targets) {
        self.state().targets.insert(id.to_owned(), targets);
    }

    /// Everything that exists, in the order of its creation.
    pub fn things(&self) -> Vec<Have> {
        self.state().things.clone()
    }

    /// Puts something there by hand, behind the engine's back.
    pub fn put(&self, have: Have) {
        self.state().things.push(have);
    }

    /// Changes by hand whatever `change` touches: drift, or what a rollout does.
    pub fn edit(&self, mut change: impl FnMut(&mut Have)) {
        self.state().things.iter_mut().for_each(&mut change);
    }

    /// Takes away by hand what `gone` says.
    pub fn remove(&self, gone: impl Fn(&Have) -> bool) {
        self.state().things.retain(|have| !gone(have));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write call and lets others begin theirs before it goes on; the fault that it has to fail with comes back.
    async fn write(&self, count: impl FnOnce(&mut Calls)) -> Option<Fault> {
        let fault = {
            let mut state = self.state();
            let number = state.calls.writes();
            count(&mut state.calls);
            state.in_flight += 1;
            state.calls.most_in_flight = state.calls.most_in_flight.max(state.in_flight);
            state.faults.remove(&number)
        };
        tokio::task::yield_now().await;
        self.state().in_flight -= 1;
        fault
    }
}

/// A look that shares nothing: here a lookup costs nothing.
struct Look<'a>(&'a Memory);

impl Listing for Look<'_> {
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>> {
        self.0.list(kind, scope)
    }
}

impl Cloud for Memory {
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut state = self.state();
            state.calls.list += 1;
            if state.unlistable.contains(&kind) {
                return Err(error(
                    "List",
                    kind,
                    "AccessDenied",
                    CloudErrorKind::Access,
                    "not authorized",
                ));
            }
            let names = scope.names_of(kind);
            let of_kind = state
                .things
                .iter()
                .filter(|have| have.resource.kind() == kind)
                .cloned();
            let keyed = of_kind.map(|have| Have {
                key: key_of(&have, scope),
                ..have
            });
            // A source repository is looked for by its name alone: an account may hold a thousand, and each is a call.
            let by_name = kind == Kind::SourceRepository;
            let seen = |have: &Have| {
                (have.key.is_some() && !by_name)
                    || have
                        .resource
                        .name()
                        .is_some_and(|name| names.contains(name))
            };
            Ok(keyed.filter(seen).collect())
        })
    }

    fn look<'a>(&'a self, _: &[Scope]) -> Box<dyn Listing + 'a> {
        Box::new(Look(self))
    }

    fn targets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Targets, CloudError>> {
        let one = Targets {
            healthy: 1,
            ..Targets::default()
        };
        let targets = self.state().targets.get(id).copied().unwrap_or(one);
        Box::pin(async move { Ok(targets) })
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        resource: &'a Resource,
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        Box::pin(async move {
            progress.waiting_for(format!("{key} to become available"));
            let fault = self.write(|calls| calls.create += 1).await;
            if fault == Some(Fault::Refused) {
                return Err(injected("Create", key.kind));
            }
            let made = self
                .state()
                .create(key, resource, tags, fault == Some(Fault::Half))?;
            if fault.is_some() {
                Err(injected("Create", key.kind))
            } else {
                Ok(made)
            }
        })
    }

    fn update<'a>(
        &'a self,
        have: &'a Have,
        want: &'a Resource,
        changes: &'a [Change],
        tags: &'a Tags,
        _progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        Box::pin(async move {
            let kind = want.kind();
            let fault = self.write(|calls| calls.update += 1).await;
            if fault == Some(Fault::Refused) || changes.is_empty() {
                return Err(injected("Update", kind));
            }
            let made = self.state().update(have, want, tags)?;
            if fault.is_some() {
                Err(injected("Update", kind))
            } else {
                Ok(made)
            }
        })
    }

    fn delete<'a>(
        &'a self,
        have: &'a Have,
        _progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), CloudError>> {
        Box::pin(async move {
            let kind = have.resource.kind();
            let fault = self.write(|calls| calls.delete += 1).await;
            if fault == Some(Fault::Refused) {
                return Err(injected("Delete", kind));
            }
            self.state().delete(have)?;
            if fault.is_some() {
                Err(injected("Delete", kind))
            } else {
                Ok(())
            }
        })
    }
}

impl State {
    fn create(
        &mut self,
        key: &Key,
        resource: &Resource,
        tags: &Tags,
        half: bool,
    ) -> Result<Made, CloudError> {
        self.accept("Create", None, resource)?;
        let same = |have: &&Have| {
            have.resource.kind() == key.kind && !tags.all().is_empty() && have.tags == *tags.all()
        };
        if let Some(there) = self.things.iter().find(same) {
            return Ok(Made {
                id: there.id.clone(),
                attributes: there.attributes.clone(),
            });
        }
        let taken = |have: &Have| {
            have.resource.kind() == key.kind
                && resource.name().is_some()
                && have.resource.name() == resource.name()
        };
        // Names of security groups are unique only within a network.
        if key.kind != Kind::SecurityGroup && self.things.iter().any(taken) {
            return Err(error(
                "Create",
                key.kind,
                "AlreadyExists",
                CloudErrorKind::Conflict,
                "the name is taken",
            ));
        }
        self.made += 1;
        let id = id(resource, self.made);
        let attributes = attributes(resource, &id);
        let mut resource = as_reported(resource);
        if half {
            halve(&mut resource);
        }
        let name = resource.name().unwrap_or(&id).to_owned();
        self.things.push(Have {
            key: Some(key.clone()),
            id: id.clone(),
            name,
            attributes: attributes.clone(),
            tags: tags.all().clone(),
            resource,
        });
        Ok(Made { id, attributes })
    }

    fn update(&mut self, have: &Have, want: &Resource, tags: &Tags) -> Result<Made, CloudError> {
        self.accept("Update", Some(&have.id), want)?;
        let kind = want.kind();
        let there = self
            .things
            .iter_mut()
            .find(|there| there.resource.kind() == kind && there.id == have.id);
        let there = there.ok_or_else(|| {
            error(
                "Update",
                kind,
                "NotFound",
                CloudErrorKind::NotFound,
                &have.id,
            )
        })?;
        there.resource = as_reported(want);
        there.tags.clone_from(tags.all());
        Ok(Made {
            id: there.id.clone(),
            attributes: there.attributes.clone(),
        })
    }

    fn delete(&mut self, have: &Have) -> Result<(), CloudError> {
        let kind = have.resource.kind();
        let user = self
            .things
            .iter()
            .find(|other| uses(other, have) || self.reaches_through(other, have));
        if let Some(user) = user {
            let message = format!("{} is in use by {}", have.id, user.id);
            return Err(error(
                "Delete",
                kind,
                "DependencyViolation",
                CloudErrorKind::Conflict,
                &message,
            ));
        }
        self.things
            .retain(|there| there.resource.kind() != kind || there.id != have.id);
        Ok(())
    }

    /// Whether `other` has a public address that an internet gateway maps: AWS keeps the gateway until it is gone.
    fn reaches_through(&self, other: &Have, gateway: &Have) -> bool {
        let Resource::InternetGateway(gateway) = &gateway.resource else {
            return false;
        };
        match &other.resource {
            Resource::NatGateway(nat) => self.vpc_of(&nat.subnet) == gateway.vpc.as_deref(),
            Resource::LoadBalancer(balancer) => balancer
                .subnets
                .iter()
                .any(|subnet| self.vpc_of(subnet) == gateway.vpc.as_deref()),
            _ => false,
        }
    }

    /// Refuses what AWS would refuse of a resource's properties.
    fn accept(
        &self,
        operation: &str,
        id: Option<&str>,
        resource: &Resource,
    ) -> Result<(), CloudError> {
        let kind = resource.kind();
        let refused = |code: &str, message: &str| {
            Err(error(
                operation,
                kind,
                code,
                CloudErrorKind::Refused,
                message,
            ))
        };
        if let Some(token) = tokens(&resource.properties()).first() {
            return refused("InvalidParameter", &format!("{token} is no id"));
        }
        for (kind, id) in references(resource) {
            if !self
                .things
                .iter()
                .any(|have| have.resource.kind() == kind && have.id == id)
            {
                return refused("NotFound", &format!("there is no {kind} {id}"));
            }
        }
        let others = || {
            self.things
                .iter()
                .filter(|have| Some(have.id.as_str()) != id)
        };
        match resource {
            Resource::Subnet(subnet) => {
                let overlapping = |have: &Have| match &have.resource {
                    Resource::Subnet(other) => {
                        other.vpc == subnet.vpc
                            && overlap(&other.cidr, &subnet.cidr)
                            && other != subnet
                    }
                    _ => false,
                };
                if others().any(overlapping) {
                    refused("InvalidSubnet.Conflict", &subnet.cidr)
                } else {
                    Ok(())
                }
            }
            Resource::NatGateway(nat) if !self.has_gateway(&nat.subnet) => {
                refused("Gateway.NotAttached", &nat.subnet)
            }
            Resource::LoadBalancer(balancer)
                if !balancer
                    .subnets
                    .iter()
                    .all(|subnet| self.has_gateway(subnet)) =>
            {
                refused("InvalidSubnet", "no internet gateway")
            }
            Resource::Listener(listener) => {
                let same_port = |have: &Have| match &have.resource {
                    Resource::Listener(other) => {
                        other.load_balancer == listener.load_balancer
                            && other.port == listener.port
                            && *have.resource.properties().to_string()
                                != *as_reported(resource).properties().to_string()
                    }
                    _ => false,
                };
                if others().any(same_port) {
                    refused("DuplicateListener", &listener.port.to_string())
                } else {
                    Ok(())
                }
            }
            Resource::Service(service) if id.is_none() => {
                let attached = |have: &Have| match &have.resource {
                    Resource::Listener(listener) => listener
                        .forward
                        .iter()
                        .any(|forward| forward.target_group == service.target_group),
                    _ => false,
                };
                if self.things.iter().any(attached) {
                    Ok(())
                } else {
                    refused(
                        "InvalidParameterException",
                        "the target group does not have an associated load balancer",
                    )
                }
            }
            _ => Ok(()),
        }
    }

    fn has_gateway(&self, subnet: &str) -> bool {
        let vpc = self.vpc_of(subnet);
        self.things.iter().any(|have| match &have.resource {
            Resource::InternetGateway(gateway) => {
                gateway.vpc.is_some() && gateway.vpc.as_deref() == vpc
            }
            _ => false,
        })
    }

    fn vpc_of(&self, id: &str) -> Option<&str> {
        self.things.iter().find_map(|have| match &have.resource {
            Resource::Subnet(subnet) if have.id == id => Some(subnet.vpc.as_str()),
            _ => None,
        })
    }
}

/// The key by the tags; for a kind without tags by the name.
fn key_of(have: &Have, scope: &Scope) -> Option<Key> {
    match &have.resource {
        Resource::DeploymentConfig(config) => Traffic::of_name(scope.app.as_str(), &config.name)
            .map(|traffic| Key::new(Kind::DeploymentConfig, traffic.parameters())),
        resource => scope.key_of(resource.kind(), &have.tags),
    }
}

fn uses(user: &Have, used: &Have) -> bool {
    let used_kind = used.resource.kind();
    // KMS schedules a key's deletion without asking what a bucket encrypts with it.
    if (user.resource.kind(), used_kind) == (Kind::Bucket, Kind::EncryptionKey) {
        return false;
    }
    (user.id != used.id || user.resource.kind() != used_kind)
        && references(&user.resource)
            .iter()
            .any(|(kind, id)| *kind == used_kind && *id == used.id)
}

/// What a resource refers to by id, read from its fields: AWS's own idea of what is in use, however the engine sees it.
fn references(resource: &Resource) -> Vec<(Kind, String)> {
    let mut found: Vec<(Kind, String)> = Vec::new();
    let mut add = |kind: Kind, id: &str| found.push((kind, id.to_owned()));
    match resource {
        Resource::Bucket(bucket) => bucket
            .encryption_key
            .iter()
            .for_each(|key| add(Kind::EncryptionKey, key)),
        Resource::InternetGateway(gateway) => {
            gateway.vpc.iter().for_each(|vpc| add(Kind::Vpc, vpc))
        }
        Resource::Subnet(subnet) => add(Kind::Vpc, &subnet.vpc),
        Resource::NatGateway(nat) => {
            add(Kind::Subnet, &nat.subnet);
            add(Kind::Address, &nat.address);
        }
        Resource::RouteTable(table) => {
            add(Kind::Vpc, &table.vpc);
            table
                .subnets
                .iter()
                .for_each(|subnet| add(Kind::Subnet, subnet));
            for route in &table.routes {
                let kind = if route.target.starts_with("nat") {
                    Kind::NatGateway
                } else {
                    Kind::InternetGateway
                };
                add(kind, &route.target);
            }
        }
        Resource::SecurityGroup(group) => {
            add(Kind::Vpc, &group.vpc);
            let peers = group
                .ingress
                .iter()
                .chain(&group.egress)
                .map(|rule| &rule.peer);
            peers
                .filter(|peer| peer.starts_with("security-group"))
                .for_each(|peer| add(Kind::SecurityGroup, peer));
        }
        Resource::Endpoint(endpoint) => {
            add(Kind::Vpc, &endpoint.vpc);
            endpoint
                .subnets
                .iter()
                .for_each(|subnet| add(Kind::Subnet, subnet));
            endpoint
                .security_groups
                .iter()
                .for_each(|group| add(Kind::SecurityGroup, group));
            endpoint
                .route_tables
                .iter()
                .for_each(|table| add(Kind::RouteTable, table));
        }
        Resource::LoadBalancer(balancer) => {
            balancer
                .subnets
                .iter()
                .for_each(|subnet| add(Kind::Subnet, subnet));
            balancer
                .security_groups
                .iter()
                .for_each(|group| add(Kind::SecurityGroup, group));
        }
        Resource::TargetGroup(group) => add(Kind::Vpc, &group.vpc),
        Resource::Listener(listener) => {
            add(Kind::LoadBalancer, &listener.load_balancer);
            listener
                .forward
                .iter()
                .for_each(|forward| add(Kind::TargetGroup, &forward.target_group));
        }
        Resource::TaskDefinition(definition) => {
            add(Kind::Role, &definition.definition.execution_role_arn);
            add(Kind::Role, &definition.definition.task_role_arn);
        }
        Resource::Service(service) => {
            add(Kind::Cluster, &service.cluster);
            add(Kind::TaskDefinition, &service.task_definition);
            add(Kind::TargetGroup, &service.target_group);
            service
                .subnets
                .iter()
                .chain(&service.others.subnets)
                .for_each(|subnet| add(Kind::Subnet, subnet));
            service
                .security_groups
                .iter()
                .for_each(|group| add(Kind::SecurityGroup, group));
        }
        Resource::DeploymentGroup(group) => {
            add(Kind::DeploymentApplication, &group.application);
            add(Kind::Role, &group.role);
            add(Kind::Cluster, &group.cluster);
            add(Kind::Service, &group.service);
            add(Kind::Listener, &group.production_listener);
            group
                .test_listener
                .iter()
                .for_each(|listener| add(Kind::Listener, listener));
            if !group.config.starts_with("CodeDeployDefault.") {
                add(Kind::DeploymentConfig, &group.config);
            }
        }
        Resource::BuildProject(project) => {
            add(Kind::Role, &project.role);
            add(Kind::LogGroup, &project.log_group);
            add(Kind::EncryptionKey, &project.encryption_key);
        }
        Resource::Pipeline(pipeline) => {
            add(Kind::Role, &pipeline.role);
            add(Kind::Bucket, &pipeline.artifact_bucket);
            let settings = pipeline
                .stages
                .iter()
                .flat_map(|stage| &stage.actions)
                .flat_map(|action| &action.configuration);
            for (setting, id) in settings {
                match setting.as_str() {
                    "S3Bucket" => add(Kind::Bucket, id),
                    "ProjectName" => add(Kind::BuildProject, id),
                    "ApplicationName" => add(Kind::DeploymentApplication, id),
                    "DeploymentGroupName" => add(Kind::DeploymentGroup, id),
                    _ => {}
                }
            }
        }
        Resource::EventRule(rule) => {
            for target in &rule.targets {
                add(
                    Kind::Pipeline,
                    target.arn.rsplit(':').next().unwrap_or_default(),
                );
                target.role.iter().for_each(|role| add(Kind::Role, role));
            }
        }
        Resource::EncryptionKey(_)
        | Resource::LogGroup(_)
        | Resource::ImageRepository(_)
        | Resource::Role(_)
        | Resource::Vpc(_)
        | Resource::Address(_)
        // CloudWatch doesn't ask whether there is what it watches, nor CodeDeploy whether there is an alarm.
        | Resource::Alarm(_)
        | Resource::Cluster(_)
        | Resource::DeploymentApplication(_)
        | Resource::DeploymentConfig(_)
        | Resource::SourceRepository(_) => {}
    }
    found
}

/// A physical id as the kind has it: see [`Kind`].
fn id(resource: &Resource, number: usize) -> String {
    let kind = resource.kind();
    match (resource.predicted_id(), kind) {
        (Some(id), _) => id.to_owned(),
        (None, Kind::Role) => format!(
            "arn:aws:iam::111122223333:role{}{}",
            match resource {
                Resource::Role(role) => role.path.as_str(),
                _ => "/",
            },
            resource.name().unwrap_or_default()
        ),
        (
            None,
            Kind::EncryptionKey
            | Kind::LoadBalancer
            | Kind::TargetGroup
            | Kind::Listener
            | Kind::TaskDefinition,
        ) => {
            format!("arn:aws:memory:eu-central-1:111122223333:{kind}/{number}")
        }
        (None, Kind::NatGateway) => format!("nat-{number}"),
        (None, _) => format!("{kind}-{number}"),
    }
}

fn attributes(resource: &Resource, id: &str) -> BTreeMap<String, String> {
    let attributes = match resource {
        Resource::LoadBalancer(balancer) => {
            vec![("dns_name", format!("{}.elb.example.com", balancer.name))]
        }
        Resource::ImageRepository(_) => vec![("uri", format!("registry.example.com/{id}"))],
        Resource::SourceRepository(_) => vec![
            (
                "clone_url_http",
                format!("https://git.example.com/v1/repos/{id}"),
            ),
            (
                "clone_url_ssh",
                format!("ssh://git.example.com/v1/repos/{id}"),
            ),
        ],
        _ => Vec::new(),
    };
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The resource as AWS reports it: without what only orders the work.
fn as_reported(resource: &Resource) -> Resource {
    let Ok(mut value) = serde_json::to_value(resource) else {
        return resource.clone();
    };
    if let Some(properties) = value
        .get_mut("properties")
        .and_then(serde_json::Value::as_object_mut)
    {
        for field in ORDER_ONLY {
            properties.remove(field);
        }
    }
    serde_json::from_value(value).unwrap_or_else(|_| resource.clone())
}

/// What a creation leaves behind that was interrupted after its first call.
fn halve(resource: &mut Resource) {
    match resource {
        Resource::Bucket(bucket) => {
            bucket.versioning = false;
            bucket.public_access_blocked = false;
            bucket.event_notifications = false;
            bucket.encryption_key = None;
            bucket.lifecycle.clear();
            bucket.policy = Policy::none();
        }
        Resource::Role(role) => role.policies.clear(),
        Resource::InternetGateway(gateway) => gateway.vpc = None,
        Resource::RouteTable(table) => {
            table.routes.clear();
            table.subnets.clear();
        }
        Resource::SecurityGroup(group) => {
            group.ingress.clear();
            group.egress.clear();
        }
        Resource::EventRule(rule) => rule.targets.clear(),
        _ => {}
    }
}

fn overlap(left: &str, right: &str) -> bool {
    match (left.parse::<Ipv4Net>(), right.parse::<Ipv4Net>()) {
        (Ok(left), Ok(right)) => left.contains(&right) || right.contains(&left),
        _ => false,
    }
}

fn injected(operation: &str, kind: Kind) -> CloudError {
    error(
        operation,
        kind,
        "InternalFailure",
        CloudErrorKind::Other,
        "a failure on demand",
    )
}

fn error(
    operation: &str,
    kind: Kind,
    code: &str,
    what: CloudErrorKind,
    message: &str,
) -> CloudError {
    CloudError {
        service: "memory".to_owned(),
        operation: format!("{operation} {kind}"),
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
        kind: what,
        hint: None,
    }
}

//! Whether what exists will do: zones, ways out, ports, who lets whom through, who trusts whom. Everything that is wrong is
//! reported at once, before anything is made. What can't be proved from here is a note. Must not ask anybody.

use std::collections::BTreeSet;

use ecspipe_spec::names::RoleName;
use ecspipe_spec::{Facts, ImageAddress, Names, Spec};
use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Endpoint, Existing, LoadBalancer, Network, Problem, Role, Subnet, WayOut};
use crate::desired::network::{GATEWAY_ENDPOINT, endpoint_service, interface_endpoints};
use crate::desired::policies::{Trusted, trusted};
use crate::resource::{EndpointType, Rule};

/// Zones that a load balancer stands in at the least.
const BALANCER_ZONES: usize = 2;
/// The port on which endpoints answer.
const HTTPS: u16 = 443;

const PUBLIC: &str = "network.existing.public";
const PRIVATE: &str = "network.existing.private";
const BALANCER: &str = "load_balancer.existing";

/// What is wrong with what was found, and what can't be seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What has to hold too and can't be proved.
    pub notes: Vec<String>,
}

/// Looks at everything that `existing` holds for the app of `spec` in the place of `facts`.
pub fn check(spec: &Spec, facts: &Facts, existing: &Existing) -> Verdict {
    let mut check = Check {
        spec,
        facts,
        verdict: Verdict::default(),
    };
    if let Some(network) = &existing.network {
        check.network(network);
        check.zones(network, existing.load_balancer.as_ref());
    }
    if let Some(balancer) = &existing.load_balancer {
        check.balancer(balancer, existing.network.as_ref());
    }
    check.cluster_and_key(existing);
    for (role, found) in &existing.roles {
        check.role(*role, found);
    }
    check.guards(existing);
    check.verdict
}

struct Check<'a> {
    spec: &'a Spec,
    facts: &'a Facts,
    verdict: Verdict,
}

impl Check<'_> {
    fn wrong(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.verdict
            .problems
            .push(Problem::new(path, message, hint));
    }
}

/// What watches over a deployment.
impl Check<'_> {
    fn guards(&mut self, existing: &Existing) {
        for (event, function) in &existing.functions {
            // Lambda wakes an idle function when it is called.
            if !matches!(function.state.as_str(), "Active" | "Inactive") {
                let reason = match function.reason.as_str() {
                    "" => String::new(),
                    reason => format!(": {reason}"),
                };
                let message = format!(
                    "function {} is {}, not Active{reason}",
                    function.name, function.state
                );
                let hint = "mend the function, or name another one";
                self.wrong(&format!("deploy.hooks.{}", event.key()), message, hint);
            }
        }
        for (name, state) in &existing.alarms {
            if state == "ALARM" {
                self.verdict.notes.push(format!(
                    "the alarm {name} is in ALARM: as long as it is, every deployment is stopped"
                ));
            }
        }
    }
}

/// The network.
impl Check<'_> {
    fn network(&mut self, network: &Network) {
        for (path, subnets) in [(PUBLIC, &network.public), (PRIVATE, &network.private)] {
            for subnet in subnets.iter().filter(|subnet| subnet.vpc != network.vpc) {
                let message = format!("{} is in {}, not in {}", subnet.id, subnet.vpc, network.vpc);
                self.wrong(path, message, "name subnets of one VPC");
            }
        }
        for subnet in &network.public {
            self.reaches_internet(subnet);
        }
        for subnet in &network.private {
            self.leads_out(subnet, network);
        }
        let closed = network
            .private
            .iter()
            .any(|subnet| subnet.way_out == WayOut::None);
        if closed {
            self.image_within();
        }
    }

    /// A load balancer for everyone needs a route from and to the internet.
    fn reaches_internet(&mut self, subnet: &Subnet) {
        let leads = match &subnet.way_out {
            WayOut::Internet => return,
            WayOut::None => "has no default route".to_owned(),
            WayOut::Nat => "leads to a NAT gateway, through which nobody comes in".to_owned(),
            WayOut::Other(target) => format!("leads to {target}, not to an internet gateway"),
            WayOut::Nowhere(target) => format!("leads to {target}, which is gone"),
        };
        let message = format!(
            "the load balancer would not be reached: {} {leads}",
            subnet.id
        );
        let hint = "name subnets whose route 0.0.0.0/0 goes to an internet gateway (igw-…)";
        self.wrong(PUBLIC, message, hint);
    }

    /// Tasks fetch their image and write their log: through a way to the internet, or through endpoints.
    fn leads_out(&mut self, subnet: &Subnet, network: &Network) {
        match &subnet.way_out {
            WayOut::Nat => {}
            WayOut::None => self.endpoints(subnet, network),
            WayOut::Other(target) => self.verdict.notes.push(format!(
                "tasks in {} reach the world through {target}; whether that leads to ECR, S3 and CloudWatch Logs can't be seen from here",
                subnet.id
            )),
            WayOut::Internet => {
                let message = format!(
                    "{} leads to an internet gateway, which serves public addresses only, and tasks have none",
                    subnet.id
                );
                let hint = "name subnets that lead to a NAT gateway, or to endpoints";
                self.wrong(PRIVATE, message, hint);
            }
            WayOut::Nowhere(target) => {
                let message = format!("{} leads to {target}, which is gone", subnet.id);
                self.wrong(PRIVATE, message, "mend the route 0.0.0.0/0 of its route table");
            }
        }
    }

    /// The same endpoints that ecspipe makes in a network of the app's own without NAT gateways.
    fn endpoints(&mut self, subnet: &Subnet, network: &Network) {
        let mut missing = Vec::new();
        for service in [GATEWAY_ENDPOINT]
            .into_iter()
            .chain(interface_endpoints(self.spec))
        {
            let name = endpoint_service(self.facts, service);
            let endpoints: Vec<&Endpoint> = network
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.available && endpoint.service == name)
                .collect();
            let reached = endpoints
                .iter()
                .any(|endpoint| reaches(subnet, endpoint, network.dns));
            if reached {
                continue;
            }
            missing.push(match endpoints.first() {
                None => name,
                Some(endpoint) => format!(
                    "{name} ({}: {})",
                    endpoint.id,
                    unreached(subnet, endpoint, network.dns)
                ),
            });
        }
        if !missing.is_empty() {
            let message = format!(
                "{} has no default route, and tasks in it do not reach {}",
                subnet.id,
                missing.join(", ")
            );
            let hint = "add a route 0.0.0.0/0 to a NAT gateway, or these VPC endpoints";
            self.wrong(PRIVATE, message, hint);
        }
    }

    /// Without a way to the internet nothing but the region's own ECR can be pulled from.
    fn image_within(&mut self) {
        let image = self.spec.service.image.as_deref();
        let region = image.and_then(|image| Some(ImageAddress::of(image).ecr()?.1));
        if region == Some(self.facts.region.as_str()) {
            return;
        }
        let message = match image {
            Some(image) => {
                format!("{image} can't be pulled: private subnets have no way to the internet")
            }
            None => {
                "the placeholder image can't be pulled: private subnets have no way to the internet"
                    .to_owned()
            }
        };
        let hint = format!(
            "name an image in ECR: `ACCOUNT.dkr.ecr.{}.amazonaws.com/REPOSITORY:TAG`",
            self.facts.region
        );
        self.wrong("service.image", message, hint);
    }

    /// A balancer stands in two zones at the least, with one subnet in each, and reaches targets in its own zones only.
    fn zones(&mut self, network: &Network, balancer: Option<&LoadBalancer>) {
        let mut zones: BTreeSet<&str> = BTreeSet::new();
        match balancer {
            Some(balancer) => zones.extend(balancer.zones.iter().map(String::as_str)),
            None => {
                for subnet in &network.public {
                    if !zones.insert(&subnet.zone) {
                        let message =
                            format!("{} is another subnet in zone {}", subnet.id, subnet.zone);
                        self.wrong(PUBLIC, message, "a load balancer takes one subnet a zone");
                    }
                }
                if zones.len() < BALANCER_ZONES && !network.public.is_empty() {
                    let message = format!(
                        "a load balancer needs {BALANCER_ZONES} zones, these subnets are in {}",
                        listed(&zones)
                    );
                    self.wrong(PUBLIC, message, "name subnets in further zones");
                }
            }
        }
        let unreached = network
            .private
            .iter()
            .filter(|subnet| !zones.is_empty() && !zones.contains(subnet.zone.as_str()));
        for subnet in unreached {
            let message = format!(
                "{} is in zone {}, and the load balancer reaches {} only",
                subnet.id,
                subnet.zone,
                listed(&zones)
            );
            let hint = "leave the subnet out, or give the load balancer a subnet in its zone";
            self.wrong(PRIVATE, message, hint);
        }
    }
}

/// The load balancer.
impl Check<'_> {
    fn balancer(&mut self, balancer: &LoadBalancer, network: Option<&Network>) {
        let name = &balancer.name;
        if balancer.kind != "application" {
            let message = format!("{name} is a {} load balancer", balancer.kind);
            return self.wrong(
                BALANCER,
                message,
                "only an application load balancer will do",
            );
        }
        if balancer.state != "active" {
            let message = format!("{name} is {}, not active", balancer.state);
            self.wrong(
                BALANCER,
                message,
                "wait until it is active, or name another one",
            );
        }
        if let Some(network) = network.filter(|network| network.vpc != balancer.vpc) {
            let message = format!("{name} is in {}, the app in {}", balancer.vpc, network.vpc);
            self.wrong(
                BALANCER,
                message,
                "name a load balancer and subnets of one VPC",
            );
        }
        let listeners = &self.spec.load_balancer;
        let ports = [
            ("load_balancer.production.port", listeners.production.port),
            ("load_balancer.test.port", listeners.test.port),
        ];
        for (path, port) in ports {
            self.free(path, port, balancer);
        }
        if let Some(network) = network {
            self.lets_out(balancer, network);
        }
    }

    /// A port that nobody else has, and on which the balancer's security groups let somebody in.
    fn free(&mut self, path: &str, port: u16, balancer: &LoadBalancer) {
        let name = &balancer.name;
        let app = self.spec.app.as_str();
        let taken = balancer
            .listeners
            .iter()
            .find(|listener| listener.port == port && listener.app.as_deref() != Some(app));
        if let Some(listener) = taken {
            let whose = match &listener.app {
                Some(other) => format!("is a listener of app {other}"),
                None => "is a listener that isn't this app's".to_owned(),
            };
            let message = format!("port {port} of load balancer {name} {whose}");
            let used: BTreeSet<u16> = balancer.listeners.iter().map(|other| other.port).collect();
            let next = (port..=u16::MAX).find(|port| !used.contains(port));
            let hint = next.map_or_else(
                || "take a port that is free".to_owned(),
                |next| format!("take a port that is free, such as {next}"),
            );
            self.wrong(path, message, hint);
        }
        let groups = &balancer.security_groups;
        let open = groups
            .iter()
            .any(|group| group.ingress.iter().any(|rule| covers(rule, port)));
        if !open {
            let message = format!(
                "{} of load balancer {name} let nobody in on port {port}",
                ids(balancer)
            );
            let hint = format!(
                "add a rule for port {port} to one of them, or take a port that they let in"
            );
            self.wrong(path, message, hint);
        }
    }

    /// The balancer's own security groups decide whether its requests reach the tasks.
    fn lets_out(&mut self, balancer: &LoadBalancer, network: &Network) {
        let port = self.spec.service.port;
        let out = |range: &str| {
            let mut rules = balancer
                .security_groups
                .iter()
                .flat_map(|group| &group.egress);
            rules.any(|rule| covers(rule, port) && may_hold(rule, range))
        };
        let closed: Vec<&str> = network
            .private
            .iter()
            .map(|subnet| subnet.range.as_str())
            .filter(|range| !out(range))
            .collect();
        if !closed.is_empty() {
            let message = format!(
                "{} of load balancer {} let nothing out to port {port} in {}",
                ids(balancer),
                balancer.name,
                closed.join(", ")
            );
            let hint =
                format!("add an outbound rule for port {port} and these ranges to one of them");
            self.wrong(BALANCER, message, hint);
        }
    }
}

/// Cluster, key and roles.
impl Check<'_> {
    fn cluster_and_key(&mut self, existing: &Existing) {
        if let Some(cluster) = existing
            .cluster
            .as_ref()
            .filter(|cluster| cluster.status != "ACTIVE")
        {
            let message = format!("cluster {} is {}, not ACTIVE", cluster.name, cluster.status);
            self.wrong("cluster.existing", message, "name a cluster that is in use");
        }
        let Some(key) = &existing.key else { return };
        const PATH: &str = "kms_key.existing";
        if key.state != "Enabled" {
            let message = format!("{} is {}, not Enabled", key.arn, key.state);
            self.wrong(PATH, message, "enable it, or name another key");
        }
        if key.usage != "ENCRYPT_DECRYPT" || key.spec != "SYMMETRIC_DEFAULT" {
            let message = format!(
                "{} is a key for {} of the kind {}",
                key.arn, key.usage, key.spec
            );
            let hint = "S3 and CodePipeline need a symmetric key that encrypts and decrypts";
            self.wrong(PATH, message, hint);
        }
        let region = key.arn.split(':').nth(3).unwrap_or_default();
        if region != self.facts.region {
            let message = format!("{} is not in region {}", key.arn, self.facts.region);
            self.wrong(PATH, message, "a bucket takes keys of its own region only");
        }
        self.verdict.notes.push(format!(
            "whether this app's roles may use {} is for its key policy to say, and is not checked",
            key.arn
        ));
    }

    fn role(&mut self, role: RoleName, found: &Role) {
        let path = format!("roles.{}.existing", role.suffix());
        let names = Names::new(&self.spec.app, self.facts);
        let wanted = trusted(role, self.facts, &names);
        if !trusts(found, &wanted, &self.facts.account) {
            let service = wanted.principal();
            let message = format!(
                "{} does not let {service} assume it for this app",
                found.arn
            );
            let hint = format!(
                "its trust policy must allow sts:AssumeRole to {service} for account {} and {}",
                self.facts.account,
                wanted.sources.join(", ")
            );
            self.wrong(&path, message, hint);
        }
        let account = found.arn.split(':').nth(4).unwrap_or_default();
        if account != self.facts.account {
            let message = format!("{} is another account's role", found.arn);
            let hint = format!("name a role of account {}", self.facts.account);
            self.wrong(&path, message, hint);
        }
        self.verdict.notes.push(format!(
            "what {} may do is not checked: it needs what the app's own role {} would have",
            found.arn,
            names.role(role)
        ));
    }
}

fn reaches(subnet: &Subnet, endpoint: &Endpoint, dns: Option<bool>) -> bool {
    match endpoint.endpoint_type {
        EndpointType::Gateway => endpoint.route_tables.contains(&subnet.route_table),
        EndpointType::Interface => {
            endpoint.private_dns && dns == Some(true) && lets_in(endpoint, subnet)
        }
    }
}

/// Why a subnet doesn't reach an endpoint.
fn unreached(subnet: &Subnet, endpoint: &Endpoint, dns: Option<bool>) -> String {
    match endpoint.endpoint_type {
        EndpointType::Gateway => format!("not in route table {}", subnet.route_table),
        EndpointType::Interface if !endpoint.private_dns => "private DNS is off".to_owned(),
        EndpointType::Interface if dns != Some(true) => {
            "DNS support and DNS host names of the VPC are not both on".to_owned()
        }
        EndpointType::Interface => {
            format!(
                "its security groups do not let {} in on port {HTTPS}",
                subnet.range
            )
        }
    }
}

fn lets_in(endpoint: &Endpoint, subnet: &Subnet) -> bool {
    endpoint
        .ingress
        .iter()
        .any(|rule| covers(rule, HTTPS) && may_hold(rule, &subnet.range))
}

/// Whether a rule lets TCP through on `port`.
fn covers(rule: &Rule, port: u16) -> bool {
    match rule.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => {
            rule.from_port.is_none_or(|from| from <= port)
                && rule.to_port.is_none_or(|to| port <= to)
        }
        _ => false,
    }
}

/// Whether all of `range` is in the rule's peer. What is in a prefix list can't be seen from here; a security group that
/// exists never holds the app's tasks, whose group is yet to be made.
fn may_hold(rule: &Rule, range: &str) -> bool {
    if rule.peer.starts_with("pl-") {
        return true;
    }
    match (rule.peer.parse::<Ipv4Net>(), range.parse::<Ipv4Net>()) {
        (Ok(peer), Ok(range)) => peer.contains(&range),
        _ => false,
    }
}

fn ids(balancer: &LoadBalancer) -> String {
    let ids: Vec<&str> = balancer
        .security_groups
        .iter()
        .map(|group| group.id.as_str())
        .collect();
    format!("the security groups {}", ids.join(", "))
}

fn listed(zones: &BTreeSet<&str>) -> String {
    zones.iter().copied().collect::<Vec<_>>().join(", ")
}

/// Whether a statement of the role's trust policy lets the service in, as far as conditions can be read here.
fn trusts(role: &Role, wanted: &Trusted, account: &str) -> bool {
    let statements = role.trust.document()["Statement"].as_array();
    let mut statements = statements.into_iter().flatten();
    statements.any(|statement| {
        statement["Effect"] == "Allow"
            && texts(&statement["Action"])
                .iter()
                .any(|action| globs(&action.to_lowercase(), "sts:assumerole"))
            && names_service(&statement["Principal"], wanted)
            && conditions_hold(&statement["Condition"], wanted, account)
    })
}

fn names_service(principal: &Value, wanted: &Trusted) -> bool {
    principal == "*" || texts(&principal["Service"]).contains(&wanted.principal())
}

/// Whether the conditions on who is behind the service hold for this app; others can't be told from here.
fn conditions_hold(conditions: &Value, wanted: &Trusted, account: &str) -> bool {
    let operators = conditions.as_object().into_iter().flatten();
    operators.into_iter().all(|(operator, keys)| {
        let positive = !operator.contains("Not") && operator != "Null";
        let keys = keys.as_object().into_iter().flatten();
        keys.into_iter().filter(|_| positive).all(|(key, values)| {
            let values = texts(values);
            match key.to_lowercase().as_str() {
                "aws:sourceaccount" => values.iter().any(|value| globs(value, account)),
                // Where AWS documents a pattern and not a thing, either may be the wider one.
                "aws:sourcearn" => wanted.sources.iter().all(|source| {
                    values
                        .iter()
                        .any(|value| globs(value, source) || globs(source, value))
                }),
                _ => true,
            }
        })
    })
}

/// One text or several.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether `text` is of the form `pattern`, in which `*` is any text and `?` any letter.
fn globs(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Which beginnings of the text each beginning of the pattern matches.
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for letter in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match letter {
                '*' => matched[at] || at > 0 && next[at - 1],
                '?' => at > 0 && matched[at - 1],
                _ => at > 0 && matched[at - 1] && text[at - 1] == letter,
            };
        }
        matched = next;
    }
    matched[text.len()]
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

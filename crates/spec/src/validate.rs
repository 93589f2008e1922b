//! Raw → [`Spec`]: defaults and rules. Every broken rule is reported; where one is broken a default stands in, so that
//! the rest is still looked at. Sources of the limits: AWS.md §1.5, §1.6, §2, §4. Must not read YAML.

mod deploy;
mod existing;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use crate::problem::{At, Problems};
use crate::raw::{self, Field, Pairs};
use crate::rules;
use crate::*;

/// The spec that `raw` describes; good for something only if no problem was found.
pub(crate) fn validate(raw: raw::Spec, problems: &mut Problems) -> Spec {
    let mut rules = Rules { problems };
    rules.version(raw.version.as_ref());
    let app = rules.app(raw.app.as_ref());
    let account = rules.account(raw.account.as_ref());
    let region = rules.region(raw.region.as_ref());
    let place = existing::Home {
        account: account.as_deref(),
        region: region.as_deref(),
    };
    let shared = rules.shared(&raw, &place);
    let network = rules.network(section(raw.network), shared.network, region.as_deref());
    let at = raw.service.as_ref().map(|field| field.at);
    let service = rules.service(section(raw.service), at, network.nat, region.as_deref());
    let load_balancer = rules.load_balancer(
        section(raw.load_balancer),
        shared.load_balancer,
        network.is_own().then_some(network.cidr),
    );
    let source = rules.source(section(raw.source), &app);
    let build = rules.build(section(raw.build));
    let at = raw
        .deploy
        .as_ref()
        .map_or_else(At::default, |field| field.at);
    let deploy = rules.deploy(section(raw.deploy), at, &place);
    let tags = rules.tags(raw.tags.as_ref());
    Spec {
        version: 1,
        app,
        account,
        region,
        network,
        cluster: shared.cluster,
        service,
        load_balancer,
        source,
        build,
        deploy,
        kms_key: shared.kms_key,
        roles: shared.roles,
        permissions_boundary: shared.permissions_boundary,
        role_path: shared.role_path,
        tags,
    }
}

/// The keys of a section, all absent if the section is.
fn section<T: Default>(field: Option<Field<T>>) -> T {
    field.map(|field| field.value).unwrap_or_default()
}

struct Rules<'p> {
    problems: &'p mut Problems,
}

/// The app and its place.
impl Rules<'_> {
    fn version(&mut self, version: Option<&Field<i64>>) {
        if let Some(field) = version.filter(|field| field.value != 1) {
            let message = format!("version {} is not known", field.value);
            self.broken(field, message, Some("write `version: 1`".to_owned()));
        }
    }

    fn app(&mut self, app: Option<&Field<String>>) -> AppName {
        let found = app.and_then(|field| match AppName::new(field.value.clone()) {
            Ok(name) => Some(name),
            Err(reason) => {
                let (message, rule) = reason.split_once(": ").unwrap_or((reason.as_str(), ""));
                let like =
                    rules::app_name_like(&field.value).map(|name| format!("; `{name}` would do"));
                let hint = format!("{rule}{}", like.unwrap_or_default());
                self.broken(field, message, Some(hint));
                None
            }
        });
        // A name that can't be the cause of a second problem.
        found
            .or_else(|| AppName::new("app").ok())
            .unwrap_or_else(|| unreachable!("`app` is an app name"))
    }

    fn account(&mut self, account: Option<&Field<raw::Digits>>) -> Option<String> {
        let field = account?;
        let digits = &field.value.0;
        if digits.len() == 12 && digits.chars().all(|c| c.is_ascii_digit()) {
            return Some(digits.clone());
        }
        let hint = "an account id has twelve digits; put it in quotes if it starts with 0";
        self.broken(
            field,
            format!("`{digits}` is not an account id"),
            Some(hint.to_owned()),
        );
        None
    }

    fn region(&mut self, region: Option<&Field<String>>) -> Option<String> {
        let field = region?;
        if rules::is_region(&field.value) {
            return Some(field.value.clone());
        }
        let hint = match field.value.strip_suffix(|c: char| c.is_ascii_lowercase()) {
            Some(region) if rules::is_region(region) => {
                format!("that is a zone; its region is `{region}`")
            }
            _ => "a region is written like `eu-central-1`".to_owned(),
        };
        self.broken(
            field,
            format!("`{}` is not a region", field.value),
            Some(hint),
        );
        None
    }

    fn tags(&mut self, tags: Option<&Field<Pairs>>) -> BTreeMap<String, String> {
        let Some(field) = tags else {
            return BTreeMap::new();
        };
        if field.value.len() > rules::MAX_TAGS {
            let message = format!(
                "{} tags, at most {} are allowed",
                field.value.len(),
                rules::MAX_TAGS
            );
            let hint = "AWS allows 50 on a resource, and ecspipe sets some of its own";
            self.broken(field, message, Some(hint.to_owned()));
        }
        for (key, value) in &field.value {
            if let Err((message, hint)) = rules::tag(key, &value.value.0) {
                self.broken(value, message, hint);
            }
        }
        plain(&field.value)
    }
}

/// The network.
impl Rules<'_> {
    fn network(
        &mut self,
        raw: raw::Network,
        existing: Option<ExistingNetwork>,
        region: Option<&str>,
    ) -> Network {
        let cidr = raw
            .cidr
            .as_ref()
            .map_or(Some(DEFAULT_CIDR), |field| self.vpc_range(field));
        let zones = match &raw.zones {
            None => {
                let at = raw.cidr.as_ref();
                self.carved(
                    DEFAULT_ZONES,
                    cidr,
                    at.map_or((At::default(), ""), |at| (at.at, at.path.as_str())),
                )
            }
            Some(field) => match &field.value {
                raw::Zones::Count(count) => self.zone_count(field, *count, cidr),
                raw::Zones::Named(zones) => self.named_zones(field, zones, cidr, region),
            },
        };
        Network {
            existing,
            cidr: cidr.unwrap_or(DEFAULT_CIDR),
            zones,
            nat: raw.nat.map_or(Nat::PerZone, |field| field.value),
        }
    }

    fn vpc_range(&mut self, field: &Field<String>) -> Option<Ipv4Net> {
        let range = self.subnet_range(field)?;
        if let Some(reserved) = rules::RESERVED
            .iter()
            .find(|reserved| overlap(reserved, &range))
        {
            let hint = "take a private range, such as 10.0.0.0/16 or 192.168.0.0/16";
            let message = format!("{range} lies in {reserved}, in which AWS makes no VPC");
            self.broken(field, message, Some(hint.to_owned()));
            return None;
        }
        Some(range)
    }

    /// A range that a VPC or a subnet may have: /16 to /28.
    fn subnet_range(&mut self, field: &Field<String>) -> Option<Ipv4Net> {
        let range = self.range(field)?;
        if rules::SUBNET_PREFIX.contains(&range.prefix_len()) {
            return Some(range);
        }
        let size = if range.prefix_len() < 16 {
            "too large"
        } else {
            "too small"
        };
        let hint = "from /16 (65536 addresses) to /28 (16 addresses)";
        self.broken(field, format!("{range} is {size}"), Some(hint.to_owned()));
        None
    }

    /// Any IPv4 range in its network form.
    fn range(&mut self, field: &Field<String>) -> Option<Ipv4Net> {
        let text = &field.value;
        let Ok(range) = text.parse::<Ipv4Net>() else {
            let hint = match text.parse::<std::net::Ipv4Addr>() {
                Ok(address) => format!("a single address is written `{address}/32`"),
                Err(_) if text.contains(':') => "only IPv4 is supported".to_owned(),
                Err(_) => "write an IPv4 range such as 10.0.0.0/16".to_owned(),
            };
            self.broken(
                field,
                format!("`{}` is not an address range", tree::shorten(text)),
                Some(hint),
            );
            return None;
        };
        if range.trunc() != range {
            let hint = format!("the range that holds it is {}", range.trunc());
            let message = format!("{range} has bits behind the /{}", range.prefix_len());
            self.broken(field, message, Some(hint));
            return None;
        }
        Some(range)
    }

    fn zone_count(
        &mut self,
        field: &Field<raw::Zones>,
        count: i64,
        cidr: Option<Ipv4Net>,
    ) -> Zones {
        let Some(count) = u8::try_from(count)
            .ok()
            .filter(|count| rules::ZONES.contains(count))
        else {
            self.broken(
                field,
                format!("want 2 to 6 availability zones, have {count}"),
                Some(FEW_ZONES.to_owned()),
            );
            return Zones::Count(DEFAULT_ZONES);
        };
        self.carved(count, cidr, (field.at, &field.path))
    }

    fn carved(&mut self, count: u8, cidr: Option<Ipv4Net>, (at, path): (At, &str)) -> Zones {
        let cut = cidr.map(|cidr| {
            let parts = crate::model::parts(cidr, usize::from(count));
            (
                cidr,
                parts,
                u32::from(cidr.prefix_len()) + parts.trailing_zeros(),
            )
        });
        if let Some((cidr, parts, prefix @ 29..)) = cut {
            let message =
                format!("{cidr} cut into {parts} subnets for {count} zones gives /{prefix}");
            let hint = "a subnet is /28 at the least: take a larger `cidr` or fewer zones";
            self.problems.rule(path, at, message, Some(hint.to_owned()));
        }
        Zones::Count(count)
    }

    fn named_zones(
        &mut self,
        field: &Field<raw::Zones>,
        zones: &[Field<raw::Zone>],
        cidr: Option<Ipv4Net>,
        region: Option<&str>,
    ) -> Zones {
        if !u8::try_from(zones.len()).is_ok_and(|count| rules::ZONES.contains(&count)) {
            let message = format!("want 2 to 6 availability zones, have {}", zones.len());
            self.broken(field, message, Some(FEW_ZONES.to_owned()));
        }
        let mut names = ZoneNames {
            region: region.map(str::to_owned),
            seen: BTreeMap::new(),
        };
        let mut taken: Vec<(Ipv4Net, &Field<String>)> = Vec::new();
        let mut found = Vec::new();
        for Field { value: zone, .. } in zones {
            let name = zone
                .name
                .as_ref()
                .and_then(|name| self.zone_name(name, &mut names));
            let public = zone
                .public
                .as_ref()
                .and_then(|field| self.subnet(field, cidr, &mut taken));
            let private = zone
                .private
                .as_ref()
                .and_then(|field| self.subnet(field, cidr, &mut taken));
            if let (Some(name), Some(public), Some(private)) = (name, public, private) {
                found.push(Zone {
                    name,
                    public,
                    private,
                });
            }
        }
        Zones::Named(found)
    }

    fn zone_name(&mut self, field: &Field<String>, names: &mut ZoneNames) -> Option<String> {
        let name = &field.value;
        let Some(region) = rules::region_of_zone(name) else {
            let hint = "a zone is its region and a letter, such as `eu-central-1a`";
            self.broken(
                field,
                format!("`{}` is not an availability zone", tree::shorten(name)),
                Some(hint.to_owned()),
            );
            return None;
        };
        if let Some(line) = names.seen.insert(name.clone(), field.at.line) {
            let hint = "every zone is named once";
            self.broken(
                field,
                format!("line {line} names zone `{name}` already"),
                Some(hint.to_owned()),
            );
            return None;
        }
        match &names.region {
            Some(want) if want != region => {
                let message = format!("zone `{name}` is not in region `{want}`");
                self.broken(
                    field,
                    message,
                    Some(format!("a zone there is called like `{want}a`")),
                );
                return None;
            }
            Some(_) => {}
            // Without a region in the file the first zone says it.
            None => names.region = Some(region.to_owned()),
        }
        Some(name.clone())
    }

    /// A subnet within the VPC that shares no address with those before it.
    fn subnet<'f>(
        &mut self,
        field: &'f Field<String>,
        cidr: Option<Ipv4Net>,
        taken: &mut Vec<(Ipv4Net, &'f Field<String>)>,
    ) -> Option<Ipv4Net> {
        let range = self.subnet_range(field)?;
        if let Some(cidr) = cidr.filter(|cidr| !cidr.contains(&range)) {
            let message = format!("{range} is not inside the VPC's range {cidr}");
            self.broken(
                field,
                message,
                Some("change it or `network.cidr`".to_owned()),
            );
        }
        if let Some((other, at)) = taken.iter().find(|(other, _)| overlap(other, &range)) {
            let message = format!(
                "{range} overlaps {other} of `{}` in line {}",
                at.path, at.at.line
            );
            self.broken(
                field,
                message,
                Some("no two subnets may share an address".to_owned()),
            );
        }
        taken.push((range, field));
        Some(range)
    }
}

/// The zones named so far.
struct ZoneNames {
    region: Option<String>,
    seen: BTreeMap<String, usize>,
}

/// Two ranges share an address exactly when one holds the other.
fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// What runs.
impl Rules<'_> {
    fn service(
        &mut self,
        raw: raw::Service,
        at: Option<At>,
        nat: Nat,
        region: Option<&str>,
    ) -> Service {
        let (cpu, memory) = self.size(raw.cpu.as_ref(), raw.memory.as_ref());
        let image = self.image(raw.image.as_ref(), nat, region);
        // A service that is missing has been reported.
        if let Some(at) = at.filter(|_| nat == Nat::None && raw.image.is_none()) {
            let message = "`nat: none` needs `service.image`: the placeholder image is public and can't be pulled";
            let hint = "name an image in the app's own account, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`";
            self.problems
                .rule("service.image", at, message, Some(hint.to_owned()));
        }
        Service {
            image,
            port: self.port(raw.port.as_ref(), 80),
            cpu,
            memory,
            architecture: raw
                .architecture
                .map_or(Architecture::X86_64, |field| field.value),
            desired_count: self.number(
                raw.desired_count.as_ref(),
                0..=5000,
                1,
                "a number of tasks",
            ),
            environment: self.environment(raw.environment.as_ref()),
            health_check: self.health_check(section(raw.health_check)),
            exec: raw.exec.is_some_and(|field| field.value),
        }
    }

    fn image(
        &mut self,
        image: Option<&Field<String>>,
        nat: Nat,
        region: Option<&str>,
    ) -> Option<String> {
        let field = image?;
        if let Err(message) = rules::image(&field.value) {
            let hint = "write it like `httpd:2.4.58` or `REGISTRY/NAME@sha256:…`";
            self.broken(field, message, Some(hint.to_owned()));
            return None;
        }
        if nat == Nat::None {
            match (ImageAddress::of(&field.value).ecr(), region) {
                (None, _) => {
                    let message = "`nat: none` needs an image in a private ECR repository: nothing else can be pulled";
                    let hint =
                        "`ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`, or `nat: single`";
                    self.broken(field, message, Some(hint.to_owned()));
                }
                (Some((_, have)), Some(want)) if have != want => {
                    let message =
                        format!("`nat: none` reaches ECR in {want} only, the image is in {have}");
                    self.broken(
                        field,
                        message,
                        Some("copy the image, or take `nat: single`".to_owned()),
                    );
                }
                _ => {}
            }
        }
        Some(field.value.clone())
    }

    /// A pair of cpu and memory that Fargate offers.
    fn size(&mut self, cpu: Option<&Field<i64>>, memory: Option<&Field<i64>>) -> (u32, u32) {
        let want = cpu.map_or(256, |field| field.value);
        let Some((cpu_units, sizes)) =
            rules::fargate().find(|(units, _)| i64::from(*units) == want)
        else {
            if let Some(field) = cpu {
                let all: Vec<String> = rules::fargate()
                    .map(|(units, _)| units.to_string())
                    .collect();
                let hint = format!("allowed: {}", all.join(", "));
                self.broken(
                    field,
                    format!("Fargate offers no task with cpu {want}"),
                    Some(hint),
                );
            }
            return (256, 512);
        };
        let least = sizes.first().copied().unwrap_or(512);
        let Some(field) = memory else {
            return (cpu_units, least);
        };
        match sizes.iter().find(|size| i64::from(**size) == field.value) {
            Some(size) => (cpu_units, *size),
            None => {
                let message = format!(
                    "Fargate offers no task with cpu {cpu_units} and memory {}",
                    field.value
                );
                let mut hint = format!("with cpu {cpu_units}: {}", rules::sizes_in_words(&sizes));
                let others: Vec<String> = rules::fargate()
                    .filter(|(_, sizes)| sizes.iter().any(|size| i64::from(*size) == field.value))
                    .map(|(units, _)| units.to_string())
                    .collect();
                if !others.is_empty() {
                    hint.push_str(&format!(
                        "; memory {} goes with cpu {}",
                        field.value,
                        others.join(", ")
                    ));
                }
                self.broken(field, message, Some(hint));
                (cpu_units, least)
            }
        }
    }

    fn environment(&mut self, pairs: Option<&Field<Pairs>>) -> BTreeMap<String, String> {
        let Some(field) = pairs else {
            return BTreeMap::new();
        };
        for (name, value) in &field.value {
            if !rules::is_variable(name) {
                let hint =
                    "letters, digits, `_`, `-` and `.`, not starting with a digit, at most 255";
                let message = format!(
                    "`{}` is not a name for an environment variable",
                    tree::shorten(name)
                );
                self.broken(value, message, Some(hint.to_owned()));
            }
            if value.value.0.contains('\0') {
                self.broken(value, "the value holds a NUL character", None);
            }
        }
        plain(&field.value)
    }

    fn health_check(&mut self, raw: raw::HealthCheck) -> HealthCheck {
        let path = raw
            .path
            .as_ref()
            .map_or_else(|| "/".to_owned(), |field| self.path(field));
        let interval = self.seconds(raw.interval.as_ref(), 5..=300, Span::from_secs(10));
        let timeout = self.seconds(raw.timeout.as_ref(), 2..=120, Span::from_secs(5));
        if let Some(field) = raw.timeout.as_ref().or(raw.interval.as_ref())
            && timeout >= interval
        {
            let message = format!("the timeout {timeout} is not less than the interval {interval}");
            self.broken(
                field,
                message,
                Some("an answer must be in before the next check".to_owned()),
            );
        }
        HealthCheck {
            path,
            interval,
            timeout,
            healthy: self.number(raw.healthy.as_ref(), 2..=10, 2, "a number of answers"),
            unhealthy: self.number(raw.unhealthy.as_ref(), 2..=10, 2, "a number of answers"),
            status: raw
                .status
                .as_ref()
                .map_or_else(|| "200-399".to_owned(), |field| self.status(field)),
            grace: self.seconds(
                raw.grace.as_ref(),
                0..=i32::MAX as u64,
                Span::from_minutes(1),
            ),
        }
    }

    fn path(&mut self, field: &Field<String>) -> String {
        let path = &field.value;
        let legal = path.starts_with('/')
            && path.len() <= 1024
            && path.chars().all(|c| c.is_ascii_graphic());
        if !legal {
            let hint =
                "starts with `/`, at most 1024 characters, no spaces, others than ASCII as %XX";
            self.broken(
                field,
                format!("`{}` is not a path", tree::shorten(path)),
                Some(hint.to_owned()),
            );
        }
        path.clone()
    }

    fn status(&mut self, field: &Field<raw::Digits>) -> String {
        let status = &field.value.0;
        if !rules::is_status(status) {
            let hint =
                "codes from 200 to 499: one (`200`), a range (`200-399`) or a list (`200,204`)";
            self.broken(
                field,
                format!("`{}` matches no status codes", tree::shorten(status)),
                Some(hint.to_owned()),
            );
        }
        status.clone()
    }
}

/// How it is reached, where it comes from, how it is built.
impl Rules<'_> {
    /// `cidr` is that of the app's own network.
    fn load_balancer(
        &mut self,
        raw: raw::LoadBalancer,
        existing: Option<Reference>,
        cidr: Option<Ipv4Net>,
    ) -> LoadBalancer {
        let production = section(raw.production);
        let test = section(raw.test);
        let ports = (
            self.port(production.port.as_ref(), 80),
            self.port(test.port.as_ref(), 8080),
        );
        if let Some(field) = test.port.as_ref().or(production.port.as_ref())
            && ports.0 == ports.1
        {
            let message = format!("production and test listener are both on port {}", ports.0);
            self.broken(
                field,
                message,
                Some("give one of them another port".to_owned()),
            );
        }
        let anybody = existing.is_none().then_some(Ipv4Net::default());
        let network = cidr.filter(|_| existing.is_none());
        LoadBalancer {
            existing,
            production: Listener {
                port: ports.0,
                allow: self.allow(production.allow.as_ref(), anybody),
            },
            // An unreleased version is nobody's business outside: whoever wants it open says so.
            test: Listener {
                port: ports.1,
                allow: self.allow(test.allow.as_ref(), network),
            },
        }
    }

    fn allow(
        &mut self,
        allow: Option<&Field<Vec<Field<String>>>>,
        default: Option<Ipv4Net>,
    ) -> Option<Vec<Ipv4Net>> {
        let Some(field) = allow else {
            return default.map(|range| vec![range]);
        };
        if field.value.is_empty() {
            self.broken(
                field,
                "nobody may reach this listener",
                Some("name a range, such as 0.0.0.0/0".to_owned()),
            );
        }
        if field.value.len() > rules::MAX_ALLOW {
            let message = format!(
                "{} ranges, at most {} are allowed",
                field.value.len(),
                rules::MAX_ALLOW
            );
            self.broken(
                field,
                message,
                Some("AWS allows 60 rules in a security group".to_owned()),
            );
        }
        let mut ranges: Vec<Ipv4Net> = Vec::new();
        for item in &field.value {
            let Some(range) = self.range(item) else {
                continue;
            };
            if ranges.contains(&range) {
                self.broken(
                    item,
                    format!("{range} is here twice"),
                    Some("keep one of them".to_owned()),
                );
            } else {
                ranges.push(range);
            }
        }
        Some(ranges)
    }

    fn source(&mut self, raw: raw::Source, app: &AppName) -> Source {
        let raw = section(raw.codecommit);
        Source::Codecommit(CodeCommit {
            repository: self.checked(raw.repository.as_ref(), app.as_str(), rules::repository),
            branch: self.checked(raw.branch.as_ref(), "main", rules::branch),
        })
    }

    fn build(&mut self, raw: raw::Build) -> Build {
        Build {
            dockerfile: self.checked(raw.dockerfile.as_ref(), "Dockerfile", rules::file),
            context: self.checked(raw.context.as_ref(), ".", rules::folder),
        }
    }
}

/// What several keys share.
impl Rules<'_> {
    fn port(&mut self, field: Option<&Field<i64>>, default: u16) -> u16 {
        u16::try_from(self.number(field, 1..=65535, u32::from(default), "a port"))
            .unwrap_or(default)
    }

    fn number(
        &mut self,
        field: Option<&Field<i64>>,
        range: RangeInclusive<u32>,
        default: u32,
        of: &str,
    ) -> u32 {
        let Some(field) = field else { return default };
        match u32::try_from(field.value)
            .ok()
            .filter(|value| range.contains(value))
        {
            Some(value) => value,
            None => {
                let message = format!("{} is not {of}", field.value);
                self.broken(
                    field,
                    message,
                    Some(format!("from {} to {}", range.start(), range.end())),
                );
                default
            }
        }
    }

    fn span(&mut self, field: &Field<String>) -> Option<Span> {
        match Span::parse(&field.value) {
            Ok(span) => Some(span),
            Err(message) => {
                self.broken(field, message, None);
                None
            }
        }
    }

    fn seconds(
        &mut self,
        field: Option<&Field<String>>,
        range: RangeInclusive<u64>,
        default: Span,
    ) -> Span {
        let Some(field) = field else { return default };
        let Some(span) = self.span(field) else {
            return default;
        };
        if range.contains(&span.seconds()) {
            return span;
        }
        let hint = format!("from {}s to {}s", range.start(), range.end());
        self.broken(
            field,
            format!("{} is out of range", field.value),
            Some(hint),
        );
        default
    }

    /// CodeDeploy counts in whole minutes.
    fn minutes(
        &mut self,
        field: Option<&Field<String>>,
        range: RangeInclusive<u64>,
        default: Span,
    ) -> Span {
        let Some(field) = field else { return default };
        let Some(span) = self.span(field) else {
            return default;
        };
        let Some(minutes) = span.minutes() else {
            let hint = format!(
                "CodeDeploy counts in minutes: write `{}m`",
                span.seconds().div_ceil(60)
            );
            self.broken(
                field,
                format!("{} is not a whole number of minutes", field.value),
                Some(hint),
            );
            return default;
        };
        if range.contains(&minutes) {
            return span;
        }
        let hint = format!("from {}m to {}m", range.start(), range.end());
        self.broken(
            field,
            format!("{} is out of range", field.value),
            Some(hint),
        );
        default
    }

    fn checked(
        &mut self,
        field: Option<&Field<String>>,
        default: &str,
        rule: fn(&str) -> Result<(), &'static str>,
    ) -> String {
        let Some(field) = field else {
            return default.to_owned();
        };
        if let Err(hint) = rule(&field.value) {
            self.broken(
                field,
                format!("`{}` is not allowed", tree::shorten(&field.value)),
                Some(hint.to_owned()),
            );
        }
        field.value.clone()
    }

    fn broken<T>(&mut self, field: &Field<T>, message: impl Into<String>, hint: Option<String>) {
        self.problems.rule(&field.path, field.at, message, hint);
    }
}

fn plain(pairs: &Pairs) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, field)| (name.clone(), field.value.0.clone()))
        .collect()
}

/// Large enough for any app, private, and cut into round subnets.
const DEFAULT_CIDR: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 16);

/// What a load balancer needs; a third one costs a third NAT gateway.
const DEFAULT_ZONES: u8 = 2;

/// The hint for a wrong number of zones.
const FEW_ZONES: &str = "a load balancer needs two";

//! Tree → raw: types, unknown keys, missing keys, duplicates; every problem, not the first, and what is sound is read on, so
//! that the rules can look at it. Must not check a value beyond its type.
//!
//! Serde's derive would stop at the first wrong type, and so is used for the JSON Schema only (`raw`); a property test
//! holds the two together.

use std::collections::{BTreeMap, BTreeSet};

mod existing;
mod safety;

use crate::problem::{At, Problems};
use crate::raw::*;
use crate::tree::{Node, Value, shorten};
use crate::{Architecture, Engine, Nat, RollbackOn};

/// A word that is legal for a key and what it stands for.
type Words<T> = &'static [(&'static str, T)];

/// A word that will be legal one day, and what to do until then.
type Later = &'static [(&'static str, &'static str)];

/// The raw spec of the tree; `text` is what the tree was read from.
pub(crate) fn read(root: &Node, text: &str, problems: &mut Problems) -> Spec {
    let mut reader = Reader { text, problems };
    let start = At {
        line: 1,
        column: 1,
        start: 0,
        end: 0,
    };
    if root.value == Value::Null {
        let hint = "the shortest spec is `version: 1`, `app: NAME` and `service: { port: PORT }`";
        reader
            .problems
            .structure("", start, "the file is empty", Some(hint.to_owned()));
        return Spec::default();
    }
    let place = Place {
        path: String::new(),
        key: start,
    };
    reader.spec(&place, root).unwrap_or_default()
}

/// Where a value hangs: its path and the place of its key, which is what a missing key is reported at.
#[derive(Clone)]
struct Place {
    path: String,
    key: At,
}

impl Place {
    fn child(&self, name: &str, key: At) -> Self {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self { path, key }
    }

    fn item(&self, index: usize, at: At) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            key: at,
        }
    }
}

/// The keys of one mapping, and which of them were asked for: those are the legal ones.
struct Keys<'n> {
    place: Place,
    entries: Vec<(&'n str, At, &'n Node)>,
    asked: Vec<&'static str>,
}

struct Reader<'t, 'p> {
    text: &'t str,
    problems: &'p mut Problems,
}

/// Reads a value at a place: `None` after it has reported a problem.
type Read<'t, 'p, T> = fn(&mut Reader<'t, 'p>, &Place, &Node) -> Option<T>;

impl<'t, 'p> Reader<'t, 'p> {
    fn spec(&mut self, place: &Place, node: &Node) -> Option<Spec> {
        let mut keys = self.keys(place, node)?;
        let spec = Spec {
            version: self.required(&mut keys, "version", Self::integer),
            app: self.required(&mut keys, "app", Self::text),
            account: self.optional(&mut keys, "account", Self::digits),
            region: self.optional(&mut keys, "region", Self::text),
            network: self.optional(&mut keys, "network", Self::network),
            cluster: self.optional(&mut keys, "cluster", Self::given),
            service: self.required(&mut keys, "service", Self::service),
            load_balancer: self.optional(&mut keys, "load_balancer", Self::load_balancer),
            source: self.optional(&mut keys, "source", Self::source),
            build: self.optional(&mut keys, "build", Self::build),
            deploy: self.optional(&mut keys, "deploy", Self::deploy),
            kms_key: self.optional(&mut keys, "kms_key", Self::given),
            roles: self.optional(&mut keys, "roles", Self::roles),
            permissions_boundary: self.optional(&mut keys, "permissions_boundary", Self::reference),
            role_path: self.optional(&mut keys, "role_path", Self::text),
            tags: self.optional(&mut keys, "tags", Self::pairs),
        };
        self.unknown(&keys);
        Some(spec)
    }

    fn network(&mut self, place: &Place, node: &Node) -> Option<Network> {
        let mut keys = self.keys(place, node)?;
        let network = Network {
            existing: self.optional(&mut keys, "existing", Self::existing_network),
            cidr: self.optional(&mut keys, "cidr", Self::text),
            zones: self.optional(&mut keys, "zones", Self::zones),
            nat: self.optional(&mut keys, "nat", |reader, place, node| {
                const WORDS: Words<Nat> = &[
                    ("per_zone", Nat::PerZone),
                    ("single", Nat::Single),
                    ("none", Nat::None),
                ];
                reader.word(place, node, WORDS, &[])
            }),
        };
        self.unknown(&keys);
        Some(network)
    }

    fn zones(&mut self, place: &Place, node: &Node) -> Option<Zones> {
        match &node.value {
            Value::Sequence(_) => self.list(place, node, Self::zone).map(Zones::Named),
            value => match whole(value) {
                Some(count) => Some(Zones::Count(count)),
                None => self.wrong(
                    place,
                    node,
                    "a number of zones, or a list of zones with their subnets",
                ),
            },
        }
    }

    /// A broken item still counts as a zone, or the number of zones would be called wrong too.
    fn zone(&mut self, place: &Place, node: &Node) -> Option<Zone> {
        let Some(mut keys) = self.keys(place, node) else {
            return Some(Zone::default());
        };
        let zone = Zone {
            name: self.required(&mut keys, "name", Self::text),
            public: self.required(&mut keys, "public", Self::text),
            private: self.required(&mut keys, "private", Self::text),
        };
        self.unknown(&keys);
        Some(zone)
    }

    fn service(&mut self, place: &Place, node: &Node) -> Option<Service> {
        let mut keys = self.keys(place, node)?;
        let service = Service {
            image: self.optional(&mut keys, "image", Self::text),
            port: self.required(&mut keys, "port", Self::integer),
            cpu: self.optional(&mut keys, "cpu", Self::integer),
            memory: self.optional(&mut keys, "memory", Self::integer),
            architecture: self.optional(&mut keys, "architecture", |reader, place, node| {
                const WORDS: Words<Architecture> = &[
                    ("x86_64", Architecture::X86_64),
                    ("arm64", Architecture::Arm64),
                ];
                reader.word(place, node, WORDS, &[])
            }),
            desired_count: self.optional(&mut keys, "desired_count", Self::integer),
            environment: self.optional(&mut keys, "environment", Self::pairs),
            health_check: self.optional(&mut keys, "health_check", Self::health_check),
            exec: self.optional(&mut keys, "exec", Self::flag),
        };
        self.unknown(&keys);
        Some(service)
    }

    fn health_check(&mut self, place: &Place, node: &Node) -> Option<HealthCheck> {
        let mut keys = self.keys(place, node)?;
        let check = HealthCheck {
            path: self.optional(&mut keys, "path", Self::text),
            interval: self.optional(&mut keys, "interval", Self::duration),
            timeout: self.optional(&mut keys, "timeout", Self::duration),
            healthy: self.optional(&mut keys, "healthy", Self::integer),
            unhealthy: self.optional(&mut keys, "unhealthy", Self::integer),
            status: self.optional(&mut keys, "status", Self::digits),
            grace: self.optional(&mut keys, "grace", Self::duration),
        };
        self.unknown(&keys);
        Some(check)
    }

    fn load_balancer(&mut self, place: &Place, node: &Node) -> Option<LoadBalancer> {
        let mut keys = self.keys(place, node)?;
        let balancer = LoadBalancer {
            existing: self.optional(&mut keys, "existing", Self::reference),
            production: self.optional(&mut keys, "production", Self::production),
            test: self.optional(&mut keys, "test", Self::test),
        };
        self.unknown(&keys);
        Some(balancer)
    }

    fn production(&mut self, place: &Place, node: &Node) -> Option<ProductionListener> {
        let mut keys = self.keys(place, node)?;
        let listener = ProductionListener {
            port: self.optional(&mut keys, "port", Self::integer),
            allow: self.optional(&mut keys, "allow", Self::texts),
        };
        self.refuse_rule(&mut keys);
        self.unknown(&keys);
        Some(listener)
    }

    fn test(&mut self, place: &Place, node: &Node) -> Option<TestListener> {
        let mut keys = self.keys(place, node)?;
        let listener = TestListener {
            port: self.optional(&mut keys, "port", Self::integer),
            allow: self.optional(&mut keys, "allow", Self::texts),
        };
        self.refuse_rule(&mut keys);
        self.unknown(&keys);
        Some(listener)
    }

    fn source(&mut self, place: &Place, node: &Node) -> Option<Source> {
        let mut keys = self.keys(place, node)?;
        let source = Source {
            codecommit: self.optional(&mut keys, "codecommit", Self::codecommit),
        };
        self.unknown(&keys);
        Some(source)
    }

    fn codecommit(&mut self, place: &Place, node: &Node) -> Option<CodeCommit> {
        let mut keys = self.keys(place, node)?;
        let source = CodeCommit {
            repository: self.optional(&mut keys, "repository", Self::text),
            branch: self.optional(&mut keys, "branch", Self::text),
        };
        self.unknown(&keys);
        Some(source)
    }

    fn build(&mut self, place: &Place, node: &Node) -> Option<Build> {
        let mut keys = self.keys(place, node)?;
        let build = Build {
            dockerfile: self.optional(&mut keys, "dockerfile", Self::text),
            context: self.optional(&mut keys, "context", Self::text),
        };
        self.unknown(&keys);
        Some(build)
    }

    fn deploy(&mut self, place: &Place, node: &Node) -> Option<Deploy> {
        let mut keys = self.keys(place, node)?;
        let deploy = Deploy {
            engine: self.optional(&mut keys, "engine", |reader, place, node| {
                const WORDS: Words<Engine> = &[("codedeploy", Engine::Codedeploy)];
                const LATER: Later = &[("ecs", "use `codedeploy`")];
                reader.word(place, node, WORDS, LATER)
            }),
            strategy: self.optional(&mut keys, "strategy", Self::strategy),
            approve: self.optional(&mut keys, "approve", Self::approve),
            keep_old: self.optional(&mut keys, "keep_old", Self::duration),
            rollback_on: self.optional(&mut keys, "rollback_on", |reader, place, node| {
                reader.list(place, node, |reader, place, node| {
                    const WORDS: Words<RollbackOn> = &[
                        ("failure", RollbackOn::Failure),
                        ("stop", RollbackOn::Stop),
                        ("alarm", RollbackOn::Alarm),
                    ];
                    reader.word(place, node, WORDS, &[])
                })
            }),
            alarms: self.optional(&mut keys, "alarms", |reader, place, node| {
                reader.list(place, node, Self::alarm)
            }),
            hooks: self.optional(&mut keys, "hooks", Self::hooks),
            checks: self.optional(&mut keys, "checks", |reader, place, node| {
                reader.list(place, node, Self::check)
            }),
            fail_fast: self.optional(&mut keys, "fail_fast", Self::fail_fast),
        };
        self.unknown(&keys);
        Some(deploy)
    }

    fn strategy(&mut self, place: &Place, node: &Node) -> Option<Strategy> {
        const WORDS: Words<()> = &[("all_at_once", ()), ("canary", ()), ("linear", ())];
        match &node.value {
            Value::Text(text) => match text.as_str() {
                "all_at_once" => Some(Strategy::AllAtOnce),
                "canary" => self.needs(place, node, "canary", "canary: { percent: 10, wait: 5m }"),
                "linear" => self.needs(place, node, "linear", "linear: { percent: 10, every: 1m }"),
                _ => {
                    self.word(place, node, WORDS, &[]);
                    None
                }
            },
            Value::Mapping(entries) => {
                let mut keys = self.keys(place, node)?;
                let canary = self
                    .optional(&mut keys, "canary", Self::canary)
                    .map(Strategy::Canary);
                let linear = self
                    .optional(&mut keys, "linear", Self::linear)
                    .map(Strategy::Linear);
                self.unknown(&keys);
                match (canary, linear) {
                    (Some(_), Some(_)) => {
                        let message = "`canary` and `linear` can't both be the strategy";
                        let hint = Some("keep one of them".to_owned());
                        self.problems
                            .structure(&place.path, place.key, message, hint);
                        None
                    }
                    (None, None) if entries.is_empty() => self.wrong(
                        place,
                        node,
                        "`all_at_once`, or a mapping with `canary` or `linear`",
                    ),
                    (canary, linear) => canary.or(linear),
                }
            }
            _ => self.wrong(
                place,
                node,
                "`all_at_once`, or a mapping with `canary` or `linear`",
            ),
        }
    }

    fn canary(&mut self, place: &Place, node: &Node) -> Option<Canary> {
        let mut keys = self.keys(place, node)?;
        let canary = Canary {
            percent: self.required(&mut keys, "percent", Self::integer),
            wait: self.required(&mut keys, "wait", Self::duration),
        };
        self.unknown(&keys);
        Some(canary)
    }

    fn linear(&mut self, place: &Place, node: &Node) -> Option<Linear> {
        let mut keys = self.keys(place, node)?;
        let linear = Linear {
            percent: self.required(&mut keys, "percent", Self::integer),
            every: self.required(&mut keys, "every", Self::duration),
        };
        self.unknown(&keys);
        Some(linear)
    }

    fn approve(&mut self, place: &Place, node: &Node) -> Option<Approve> {
        let mut keys = self.keys(place, node)?;
        let approve = Approve {
            within: self.required(&mut keys, "within", Self::duration),
        };
        self.unknown(&keys);
        Some(approve)
    }
}

/// The kinds of values.
impl<'t, 'p> Reader<'t, 'p> {
    fn text(&mut self, place: &Place, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => self.wrong(place, node, "text"),
        }
    }

    fn duration(&mut self, place: &Place, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(_) => self.wrong(
                place,
                node,
                "a number with its unit, such as 90s, 60m or 2h",
            ),
            _ => self.wrong(place, node, "a time span, such as 90s, 60m or 2h"),
        }
    }

    fn integer(&mut self, place: &Place, node: &Node) -> Option<i64> {
        whole(&node.value).or_else(|| self.wrong(place, node, "a whole number"))
    }

    fn digits(&mut self, place: &Place, node: &Node) -> Option<Digits> {
        match &node.value {
            Value::Text(text) => Some(Digits(text.clone())),
            value if whole(value).is_some() => Some(Digits(self.as_written(node))),
            _ => self.wrong(place, node, "text or a whole number"),
        }
    }

    fn scalar(&mut self, place: &Place, node: &Node) -> Option<Scalar> {
        match &node.value {
            Value::Text(text) => Some(Scalar(text.clone())),
            Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => {
                Some(Scalar(self.as_written(node)))
            }
            _ => self.wrong(place, node, "text, a number or a truth value"),
        }
    }

    fn texts(&mut self, place: &Place, node: &Node) -> Option<Vec<Field<String>>> {
        self.list(place, node, Self::text)
    }

    /// One of `words`; what is in `later` gets an answer of its own.
    fn flag(&mut self, place: &Place, node: &Node) -> Option<bool> {
        match node.value {
            Value::Boolean(value) => Some(value),
            _ => self.wrong(place, node, "true or false"),
        }
    }

    fn word<T: Copy>(
        &mut self,
        place: &Place,
        node: &Node,
        words: Words<T>,
        later: Later,
    ) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let allowed = names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let Value::Text(text) = &node.value else {
            return self.wrong(place, node, &format!("one of {allowed}"));
        };
        if let Some((_, value)) = words.iter().find(|(name, _)| name == text) {
            return Some(*value);
        }
        if let Some((name, hint)) = later.iter().find(|(name, _)| name == text) {
            let message = format!("`{name}` is not supported yet");
            self.problems
                .structure(&place.path, node.at, message, Some((*hint).to_owned()));
            return None;
        }
        let hint = match nearest(text, &names) {
            Some(name) => format!("did you mean `{name}`? allowed: {allowed}"),
            None => format!("allowed: {allowed}"),
        };
        let message = format!("`{}` is not allowed here", shorten(text));
        self.problems
            .structure(&place.path, node.at, message, Some(hint));
        None
    }

    /// Items that are sound; the others have been reported.
    fn list<T>(
        &mut self,
        place: &Place,
        node: &Node,
        read: Read<'t, 'p, T>,
    ) -> Option<Vec<Field<T>>> {
        let Value::Sequence(items) = &node.value else {
            return self.wrong(place, node, "a list");
        };
        let mut fields = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = place.item(index, item.at);
            if let Some(value) = read(self, &place, item) {
                fields.push(field(&place, item.at, value));
            }
        }
        Some(fields)
    }

    fn pairs(&mut self, place: &Place, node: &Node) -> Option<Pairs> {
        let keys = self.keys(place, node)?;
        let mut pairs = BTreeMap::new();
        for (name, at, node) in &keys.entries {
            let place = keys.place.child(name, *at);
            if let Some(value) = self.scalar(&place, node) {
                // The key's place: what is wrong with a pair is mostly its name, and the value stands beside it.
                pairs.insert((*name).to_owned(), field(&place, *at, value));
            }
        }
        Some(pairs)
    }
}

/// Mappings and their keys.
impl<'t, 'p> Reader<'t, 'p> {
    /// The keys of a mapping: text, each once.
    fn keys<'n>(&mut self, place: &Place, node: &'n Node) -> Option<Keys<'n>> {
        let Value::Mapping(pairs) = &node.value else {
            return self.wrong(place, node, "a mapping of keys to values");
        };
        let mut entries: Vec<(&str, At, &Node)> = Vec::new();
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, value) in pairs {
            let Value::Text(name) = &key.value else {
                let message = format!("a key must be text, have {}", key.value.describe());
                self.problems.structure(
                    &place.path,
                    key.at,
                    message,
                    Some("put it in quotes".to_owned()),
                );
                continue;
            };
            if let Some(line) = lines.get(name.as_str()) {
                let message = format!(
                    "`{}` is here twice: line {line} has it already",
                    shorten(name)
                );
                let path = place.child(name, key.at).path;
                self.problems.structure(
                    &path,
                    key.at,
                    message,
                    Some("keep one of them".to_owned()),
                );
                continue;
            }
            lines.insert(name, key.at.line);
            entries.push((name.as_str(), key.at, value));
        }
        Some(Keys {
            place: place.clone(),
            entries,
            asked: Vec::new(),
        })
    }

    fn optional<T>(
        &mut self,
        keys: &mut Keys<'_>,
        name: &'static str,
        read: Read<'t, 'p, T>,
    ) -> Option<Field<T>> {
        keys.asked.push(name);
        let (_, at, node) = keys.entries.iter().find(|(other, ..)| *other == name)?;
        let place = keys.place.child(name, *at);
        if node.value == Value::Null {
            let message = "the key has no value";
            let hint = "give it a value or leave the key out; check the indentation of what should be in it";
            self.problems
                .structure(&place.path, *at, message, Some(hint.to_owned()));
            return None;
        }
        // A mapping's own place is empty, so problems with the whole of it point at the key.
        let shown = if matches!(node.value, Value::Mapping(_) | Value::Sequence(_)) {
            *at
        } else {
            node.at
        };
        read(self, &place, node).map(|value| field(&place, shown, value))
    }

    fn required<T>(
        &mut self,
        keys: &mut Keys<'_>,
        name: &'static str,
        read: Read<'t, 'p, T>,
    ) -> Option<Field<T>> {
        let field = self.optional(keys, name, read);
        if !keys.entries.iter().any(|(other, ..)| *other == name) {
            let place = keys.place.child(name, keys.place.key);
            self.problems.structure(
                &place.path,
                keys.place.key,
                format!("`{name}` is missing"),
                None,
            );
        }
        field
    }

    /// Reports the keys that nobody asked for.
    fn unknown(&mut self, keys: &Keys<'_>) {
        let have: BTreeSet<&str> = keys.entries.iter().map(|(name, ..)| *name).collect();
        // A key that is there already isn't what was meant.
        let free: Vec<&str> = keys
            .asked
            .iter()
            .copied()
            .filter(|asked| !have.contains(asked))
            .collect();
        for (name, at, _) in keys
            .entries
            .iter()
            .filter(|(name, ..)| !keys.asked.contains(name))
        {
            let hint = match nearest(name, &free) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("allowed here: {}", keys.asked.join(", ")),
            };
            let path = keys.place.child(name, *at).path;
            let message = format!("`{}` is not a key here", shorten(name));
            self.problems.structure(&path, *at, message, Some(hint));
        }
    }
}

impl Reader<'_, '_> {
    fn wrong<T>(&mut self, place: &Place, node: &Node, want: &str) -> Option<T> {
        let whole = matches!(
            node.value,
            Value::Mapping(_) | Value::Sequence(_) | Value::Null
        );
        let at = if whole { place.key } else { node.at };
        let hint = (want == "text").then(|| self.quoted(node)).flatten();
        let message = format!("want {want}, have {}", node.value.describe());
        self.problems.structure(&place.path, at, message, hint);
        None
    }

    fn needs<T>(&mut self, place: &Place, node: &Node, name: &str, example: &str) -> Option<T> {
        let message = format!("`{name}` needs its parts");
        self.problems.structure(
            &place.path,
            node.at,
            message,
            Some(format!("write `{example}`")),
        );
        None
    }

    /// The hint for a number or truth value where text is wanted.
    fn quoted(&self, node: &Node) -> Option<String> {
        match node.value {
            Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => {
                Some(format!("write it in quotes: \"{}\"", self.as_written(node)))
            }
            _ => None,
        }
    }

    /// A plain value in the letters of the file: `1.10` stays `1.10`.
    fn as_written(&self, node: &Node) -> String {
        let written = self
            .text
            .get(node.at.start..node.at.end)
            .unwrap_or_default()
            .trim();
        match &node.value {
            Value::Text(text) => text.clone(),
            // After a tag such as `!!int "80"` the value may be quoted.
            _ => written.trim_matches(['"', '\'']).to_owned(),
        }
    }
}

fn field<T>(place: &Place, at: At, value: T) -> Field<T> {
    Field {
        value,
        at,
        path: place.path.clone(),
    }
}

/// A whole number, also where it is written as `80.0`: JSON Schema holds that for an integer too.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        // A cast from a float saturates: what is out of range stays out of every range that is checked later.
        Value::Number(number) if number.fract() == 0.0 => Some(*number as i64),
        _ => None,
    }
}

/// The name that was probably meant.
fn nearest<'a>(have: &str, names: &[&'a str]) -> Option<&'a str> {
    const ALIKE: f64 = 0.75;
    let have = have.to_lowercase().replace('-', "_");
    let likeness = |name: &str| strsim::jaro_winkler(&have, name);
    names
        .iter()
        .copied()
        .filter(|name| {
            likeness(name) >= ALIKE || strsim::levenshtein(&have, name) <= 2 && name.len() > 3
        })
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

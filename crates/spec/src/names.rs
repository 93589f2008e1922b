//! Every name that AWS sees, derived from the app's name, the account and the region. One place, so that two apps never
//! collide and what renders a file agrees with what makes the resource. Limits: AWS.md §2. Must not read a spec's options.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{AppName, Facts};

/// The names of one app's resources in one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    app: String,
    account: String,
    region: String,
}

/// A role that ecspipe makes, one a service: the last part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleName {
    /// What ECS itself uses to start a task: pull the image, write the log.
    Execution,
    /// What the app's own code may do.
    Task,
    /// What CodeDeploy uses.
    CodeDeploy,
    /// What CodeBuild uses.
    CodeBuild,
    /// What CodePipeline uses.
    CodePipeline,
    /// What EventBridge uses to start the pipeline.
    Events,
}

impl RoleName {
    /// All roles of an app.
    pub const ALL: [Self; 6] = [
        Self::Execution,
        Self::Task,
        Self::CodeDeploy,
        Self::CodeBuild,
        Self::CodePipeline,
        Self::Events,
    ];

    /// The suffix, such as `codebuild`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Execution => "execution",
            Self::Task => "task",
            Self::CodeDeploy => "codedeploy",
            Self::CodeBuild => "codebuild",
            Self::CodePipeline => "codepipeline",
            Self::Events => "events",
        }
    }
}

impl Serialize for RoleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.suffix())
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = Self::ALL.into_iter().find(|role| role.suffix() == text);
        found.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a role")))
    }
}

impl Names {
    /// The names of `app` in the account and region of `facts`.
    pub fn new(app: &AppName, facts: &Facts) -> Self {
        Self {
            app: app.to_string(),
            account: facts.account.clone(),
            region: facts.region.clone(),
        }
    }

    /// The app's own name: ECS cluster, service, task definition family and container, CodeDeploy application and group,
    /// CodeBuild project, pipeline, ECR repository.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The load balancer: at most 32 characters, and not starting with `internal-`, which AWS keeps for itself.
    pub fn load_balancer(&self) -> String {
        if self.app.starts_with("internal-") {
            let prefixed = format!("alb-{}", self.app);
            return format!("{}--{}", cut(&prefixed, 32 - 10), digest(&self.app));
        }
        self.app.clone()
    }

    /// A target group, `blue` or `green`: at most 32 characters.
    pub fn target_group(&self, colour: &str) -> String {
        fit(&self.app, &format!("-{colour}"), 32)
    }

    /// The bucket, `artifacts`: unique in the partition through account and region, at most 63 characters.
    pub fn bucket(&self, purpose: &str) -> String {
        fit(
            &self.app,
            &format!("-{purpose}-{}-{}", self.account, self.region),
            63,
        )
    }

    /// A role: names are global to an account, so the region is part of it; at most 64 characters.
    pub fn role(&self, role: RoleName) -> String {
        fit(
            &self.app,
            &format!("-{}-{}", self.region, role.suffix()),
            64,
        )
    }

    /// The log group of the tasks.
    pub fn service_log_group(&self) -> String {
        format!("/ecs/{}", self.app)
    }

    /// The log group of the builds.
    pub fn build_log_group(&self) -> String {
        format!("/aws/codebuild/{}", self.app)
    }

    /// The KMS key's alias.
    pub fn key_alias(&self) -> String {
        format!("alias/{}", self.app)
    }

    /// A security group, `balancer`, `service` or `endpoints`.
    pub fn security_group(&self, of: &str) -> String {
        format!("{}-{of}", self.app)
    }

    /// An EventBridge rule, `source` or `bundle`.
    pub fn rule(&self, of: &str) -> String {
        format!("{}-{of}", self.app)
    }

    /// A custom CodeDeploy configuration, named by its parameters because it can't be changed: `canary-20p-10m`.
    pub fn deployment_config(&self, parameters: &str) -> String {
        format!("{}-{parameters}", self.app)
    }

    /// An alarm on a target group, `blue` or `green`; `subject` is what it watches, such as `http-5xx`.
    pub fn alarm(&self, subject: &str, colour: &str) -> String {
        format!("{}-{subject}-{colour}", self.app)
    }

    /// Whether `name` is that of an alarm of the app, of any subject: an app `web` has `web-http-5xx-blue`, but not
    /// `web-shop-http-5xx-blue`.
    pub fn is_alarm(&self, name: &str) -> bool {
        let rest = name
            .strip_prefix(self.app.as_str())
            .and_then(|rest| rest.strip_prefix('-'));
        let Some((subject, "blue" | "green")) = rest.and_then(|rest| rest.rsplit_once('-')) else {
            return false;
        };
        let is_percentile = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
        };
        matches!(subject, "http-5xx" | "unhealthy-targets")
            || subject.strip_prefix("latency-p").is_some_and(is_percentile)
    }

    /// The key of the bundle in the bucket. One object, versioned: the pipeline's S3 source watches one key.
    pub fn bundle_key(&self) -> &'static str {
        "bundle.zip"
    }

    /// The key of the lease in the bucket, under which one operator at a time works. An app's name can't begin like it, so no
    /// artifact's key does either.
    pub fn lease_key(&self) -> &'static str {
        LEASE_KEY
    }

    /// How the keys of the pipeline's artifacts begin. CodePipeline cuts the pipeline's name to 20 characters; a longer name
    /// gives its beginning without a slash, which is right whether it is cut or not. No app's name begins like the other keys
    /// of the bucket do and goes on with a slash.
    pub fn artifact_prefix(&self) -> String {
        if self.app.len() <= 20 {
            return format!("{}/", self.app);
        }
        self.app[..20].to_owned()
    }
}

/// See [`Names::lease_key`].
pub const LEASE_KEY: &str = ".ecspipe/lease";

/// `base` + `suffix`, at most `max` characters: an over-long base keeps its beginning and gets eight hex digits of its
/// SHA-256, so that two long names with the same beginning stay apart. The two hyphens before the digits keep it apart
/// from every name that isn't shortened: no app's name has two in a row.
fn fit(base: &str, suffix: &str, max: usize) -> String {
    if base.len() + suffix.len() <= max {
        return format!("{base}{suffix}");
    }
    let room = max.saturating_sub(suffix.len() + 10);
    format!("{}--{}{suffix}", cut(base, room), digest(base))
}

/// The first `room` characters, without a hyphen at the end.
fn cut(text: &str, room: usize) -> &str {
    text[..text.len().min(room)].trim_end_matches('-')
}

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_alarm_is_told_by_its_name() {
        let app = |name: &str| {
            let facts = Facts::new("111122223333", "eu-central-1");
            Names::new(&AppName::new(name).unwrap(), &facts)
        };
        for (name, ours) in [
            ("web-http-5xx-blue", true),
            ("web-latency-p99-green", true),
            ("web-latency-p99.9-green", true),
            ("web-unhealthy-targets-blue", true),
            ("web-shop-http-5xx-blue", false),
            ("web-http-5xx", false),
            ("web-http-5xx-red", false),
            ("web-latency-pnan-blue", false),
            ("web-latency-p-blue", false),
            ("web-latency-p99-http-5xx-blue", false),
            ("webhttp-5xx-blue", false),
            ("web-blue", false),
        ] {
            assert_eq!(app("web").is_alarm(name), ours, "{name}");
        }
        assert!(app("web-latency-p99").is_alarm("web-latency-p99-http-5xx-blue"));
    }

    /// Every name with what it is for; names for different purposes may be equal.
    fn all(app: &AppName, facts: &Facts) -> Vec<(String, String, usize)> {
        let names = Names::new(app, facts);
        let mut all = vec![
            ("app".to_owned(), names.app().to_owned(), 32),
            ("load balancer".to_owned(), names.load_balancer(), 32),
            (
                "service log group".to_owned(),
                names.service_log_group(),
                512,
            ),
            ("build log group".to_owned(), names.build_log_group(), 512),
            ("alias".to_owned(), names.key_alias(), 256),
            (
                "deployment config".to_owned(),
                names.deployment_config("canary-20p-10m"),
                100,
            ),
        ];
        // Blue and green share one namespace, and so do the buckets, roles, groups and rules.
        all.extend(
            ["blue", "green"]
                .map(|colour| ("target group".to_owned(), names.target_group(colour), 32)),
        );
        for subject in ["http-5xx", "latency-p99.9", "unhealthy-targets"] {
            all.extend(
                ["blue", "green"]
                    .map(|colour| ("alarm".to_owned(), names.alarm(subject, colour), 255)),
            );
        }
        all.push(("bucket".to_owned(), names.bucket("artifacts"), 63));
        all.extend(RoleName::ALL.map(|role| ("role".to_owned(), names.role(role), 64)));
        all.extend(
            ["balancer", "service", "endpoints"]
                .map(|of| ("security group".to_owned(), names.security_group(of), 255)),
        );
        all.extend(["source", "bundle"].map(|of| ("rule".to_owned(), names.rule(of), 64)));
        all
    }

    fn apps() -> impl Strategy<Value = AppName> {
        let free = "[a-z][a-z0-9]{0,12}(-[a-z0-9]{1,12}){0,4}";
        let internal = "internal-[a-z0-9]{1,23}";
        let long = "[a-z]{20,28}(-[a-z0-9]{1,3})?";
        // Names that look like what shortening makes: the first part of a long name and eight hex digits.
        let shortened = "a{15,17}-[0-9a-f]{8}";
        prop_oneof![free, internal, long, shortened, "a{28,32}"]
            .prop_filter_map("a legal app name", |name| AppName::new(name).ok())
    }

    const REGIONS: [&str; 6] = [
        "eu-central-1",
        "us-east-1",
        "ap-southeast-1",
        "ap-northeast-1",
        "us-gov-west-1",
        "cn-northwest-1",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_name_is_within_its_limits(app in apps(), region in prop::sample::select(&REGIONS[..]), account in "[0-9]{12}") {
            for (kind, name, max) in all(&app, &Facts::new(account.clone(), region)) {
                prop_assert!((1..=max).contains(&name.len()), "{kind} `{name}` has {} characters", name.len());
                let bare = name.trim_start_matches("alias").replace('/', "");
                let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' && kind == "alarm";
                prop_assert!(bare.chars().all(legal), "{kind} `{name}`");
                prop_assert!(!name.starts_with('-') && !name.ends_with('-'), "{kind} `{name}`");
                if kind == "load balancer" {
                    prop_assert!(!name.starts_with("internal-"), "{name}");
                }
                if kind == "bucket" {
                    prop_assert!(name.len() >= 3 && !name.starts_with("xn--") && !name.starts_with("sthree-"), "{name}");
                    prop_assert!(!["-s3alias", "--ol-s3", "--x-s3"].iter().any(|end| name.ends_with(end)), "{name}");
                }
            }
        }

        #[test]
        fn two_apps_never_share_a_name(one in apps(), two in apps(), region in prop::sample::select(&REGIONS[..])) {
            prop_assume!(one != two);
            let facts = Facts::new("111122223333", region);
            let taken: BTreeSet<_> = all(&one, &facts).into_iter().map(|(kind, name, _)| (kind, name)).collect();
            for (kind, name, _) in all(&two, &facts) {
                prop_assert!(!taken.contains(&(kind.clone(), name.clone())), "{one} and {two} share {kind} `{name}`");
            }
        }

        #[test]
        fn regions_of_one_account_share_no_role_and_no_bucket(app in apps()) {
            let mut seen = BTreeSet::new();
            for region in REGIONS {
                let names = Names::new(&app, &Facts::new("111122223333", region));
                for name in RoleName::ALL.map(|role| names.role(role)).into_iter().chain([names.bucket("artifacts")]) {
                    prop_assert!(seen.insert(name.clone()), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_shortened_name_can_not_be_another_apps_own() {
        let facts = Facts::new("111122223333", "eu-central-1");
        let long = Names::new(&AppName::new("a".repeat(32)).unwrap(), &facts).target_group("green");
        // What an app would have to be called to get the same name without shortening.
        let twin = long.strip_suffix("-green").unwrap();
        assert!(AppName::new(twin).is_err(), "{twin}");
    }

    #[test]
    fn artifacts_are_told_from_the_other_objects_of_the_bucket() {
        let facts = Facts::new("111122223333", "eu-central-1");
        let check = |app: &str, artifact: &str| {
            let prefix = Names::new(&AppName::new(app).unwrap(), &facts).artifact_prefix();
            assert!(artifact.starts_with(&prefix), "{artifact} {prefix}");
            assert!(!"bundle.zip".starts_with(&prefix), "{prefix}");
            assert!(!LEASE_KEY.starts_with(&prefix), "{prefix}");
        };
        check("web", "web/SourceOutp/AbCdEfG");
        check("bundle", "bundle/SourceOutp/AbCdEfG");
        check(
            "a-name-of-20-letters",
            "a-name-of-20-letters/SourceOutp/AbCdEfG",
        );
        check(
            "ecs-deployment-pipeline",
            "ecs-deployment-pipel/SourceOutp/AbCdEfG",
        );
        check(
            "ecs-deployment-pipeline",
            "ecs-deployment-pipeline/SourceOutp/AbCdEfG",
        );
    }

    #[test]
    fn an_internal_app_gets_another_load_balancer_name() {
        let facts = Facts::new("111122223333", "eu-central-1");
        let name = |app: &str| Names::new(&AppName::new(app).unwrap(), &facts).load_balancer();
        assert_eq!(name("web"), "web");
        assert!(
            name("internal-tool").starts_with("alb-internal-tool--"),
            "{}",
            name("internal-tool")
        );
        assert_eq!(name("internal-a-tool-with-a-long-name").len(), 32);
    }
}

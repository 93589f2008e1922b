//! AWS's rate limits: how many calls of an operation an account may make (AWS.md §3.3; EC2's and Elastic Load Balancing's own pages
//! on request throttling). Written down a second time here, so that the sandbox is a witness against whoever calls it.
//! Must not wait: who comes too often is refused.

use std::collections::BTreeMap;

use crate::clock::Millis;

/// The buckets of an account in all regions. Each holds tokens up to its burst, and is filled again at its rate.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: BTreeMap<String, Bucket>,
    refused: u64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Millis,
}

/// How many calls at once, and how many a second in the long run.
struct Limit {
    bucket: String,
    burst: f64,
    per_second: f64,
}

impl Rates {
    /// Whether a call that comes at `now` is one too many.
    pub(super) fn refuses(
        &mut self,
        region: &str,
        service: &str,
        operation: &str,
        now: Millis,
    ) -> bool {
        let Some(limit) = limit(service, operation) else {
            return false;
        };
        let bucket = self
            .buckets
            .entry(format!("{region} {}", limit.bucket))
            .or_insert(Bucket {
                tokens: limit.burst,
                at: now,
            });
        let passed = (now - bucket.at).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + passed * limit.per_second).min(limit.burst);
        bucket.at = now;
        // A thousandth, as times are cut to milliseconds.
        if bucket.tokens < 0.999 {
            self.refused += 1;
            return true;
        }
        bucket.tokens -= 1.0;
        false
    }

    /// How many calls were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

fn limit(service: &str, operation: &str) -> Option<Limit> {
    let of = |bucket: &str, burst: u32, per_second: u32| {
        Some(Limit {
            bucket: bucket.to_owned(),
            burst: f64::from(burst),
            per_second: f64::from(per_second),
        })
    };
    let reads = ["Describe", "Get", "List"]
        .iter()
        .any(|verb| operation.starts_with(verb));
    match (service, operation) {
        ("ecs", "CreateCluster" | "UpdateCluster" | "UpdateClusterSettings" | "DeleteCluster") => {
            of("ecs cluster modify", 20, 1)
        }
        ("ecs", "RegisterTaskDefinition" | "DeregisterTaskDefinition") => {
            of("ecs task definition modify", 20, 1)
        }
        ("ecs", "DeleteTaskDefinitions") => of("ecs task definition delete", 5, 1),
        (
            "ecs",
            "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies",
        ) => of("ecs task definition read", 50, 20),
        ("ecs", "CreateService" | "UpdateService" | "DeleteService") => {
            of("ecs service modify", 50, 5)
        }
        ("ecs", "DescribeServices" | "ListServices") => of("ecs service read", 100, 20),
        ("ecs", "TagResource" | "UntagResource" | "ListTagsForResource") => of("ecs tags", 20, 10),
        ("iam", _) => of("iam", 20, 15),
        ("logs", "DescribeLogGroups") => of("logs DescribeLogGroups", 10, 10),
        ("tagging", "GetResources") => of("tagging GetResources", 15, 15),
        // Each of EC2's actions has a bucket of its own.
        ("ec2", _) if reads => of(&format!("ec2 {operation}"), 100, 20),
        ("ec2", _) => of(&format!("ec2 {operation}"), 50, 5),
        ("elasticloadbalancing", _) if reads => of("elasticloadbalancing read", 40, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut rates = Rates::default();
        let mut passed = |now: Millis| {
            let calls = 0..100;
            let through = |_: &i32| !rates.refuses("r", "ecs", "RegisterTaskDefinition", now);
            calls.filter(through).count()
        };
        assert_eq!(passed(0), 20);
        assert_eq!(passed(500), 0);
        assert_eq!(passed(1_000), 1);
        assert_eq!(passed(6_000), 5);
        assert_eq!(passed(600_000), 20);
        assert!(rates.refused() > 400);
    }

    #[test]
    fn buckets_are_shared_by_what_aws_counts_together() {
        let mut rates = Rates::default();
        let mut refused = |region: &str, service: &str, operation: &str| {
            rates.refuses(region, service, operation, 0)
        };
        for _ in 0..20 {
            assert!(!refused("r", "iam", "GetRole"));
        }
        assert!(refused("r", "iam", "CreateRole"));
        assert!(!refused("s", "iam", "CreateRole"));
        for _ in 0..100 {
            assert!(!refused("r", "ec2", "DescribeVpcs"));
        }
        assert!(refused("r", "ec2", "DescribeVpcs"));
        assert!(!refused("r", "ec2", "DescribeSubnets"));
        assert!(!refused("r", "s3", "GetObject"));
    }
}

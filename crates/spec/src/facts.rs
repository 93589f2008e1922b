//! What only the account knows: where an app is made. Must not hold anything that the spec says.

use serde::{Deserialize, Serialize};

use crate::ExistingNames;

/// The place in which an app lives. `render` needs it to write ARNs, `provision` to name and place resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `aws`, `aws-cn` or `aws-us-gov`, as in every ARN. Never assumed: read from the caller's ARN, or derived from the region.
    pub partition: String,
    /// The twelve digits of the account.
    pub account: String,
    /// The region's code, such as `eu-central-1`.
    pub region: String,
    /// The availability zones open to the account, sorted by name. Empty where nobody asked (rendering); needed
    /// only when the spec gives a number of zones and not their names.
    pub zones: Vec<String>,
    /// Names of what the app uses and ecspipe didn't make, as far as the account had to be asked for them.
    #[serde(default, skip_serializing_if = "ExistingNames::is_empty")]
    pub existing: ExistingNames,
}

impl Facts {
    /// Facts for rendering: the partition follows from the region, zones are left out.
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        let region = region.into();
        Self {
            partition: partition_of(&region).to_owned(),
            account: account.into(),
            region,
            zones: Vec::new(),
            existing: ExistingNames::default(),
        }
    }

    /// An ARN in this account and region: `arn:<partition>:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition, self.region, self.account
        )
    }

    /// The host of the account's own registry of images.
    pub fn registry(&self) -> String {
        format!(
            "{}.dkr.ecr.{}.{}",
            self.account,
            self.region,
            self.dns_suffix()
        )
    }

    /// The domain under which AWS serves this partition: `amazonaws.com` or `amazonaws.com.cn`.
    pub fn dns_suffix(&self) -> &'static str {
        if self.partition == "aws-cn" {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        }
    }
}

/// The partition that a region belongs to.
pub fn partition_of(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_follows_from_the_region() {
        for (region, partition, suffix) in [
            ("eu-central-1", "aws", "amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ] {
            let facts = Facts::new("111122223333", region);
            assert_eq!(
                (facts.partition.as_str(), facts.dns_suffix()),
                (partition, suffix)
            );
            assert_eq!(
                facts.arn("ecs", "cluster/web"),
                format!("arn:{partition}:ecs:{region}:111122223333:cluster/web")
            );
            assert_eq!(
                facts.registry(),
                format!("111122223333.dkr.ecr.{region}.{suffix}")
            );
        }
    }
}

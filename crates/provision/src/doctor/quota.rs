//! What the account's quotas leave room for. Codes and defaults: Service Quotas. Must not count what a plan deletes: AWS
//! may give it back later than it is wanted.

use std::collections::BTreeMap;

use ecspipe_spec::Spec;
use futures::future::join_all;

use super::{Check, Survey, Trouble};
use crate::plan::{Action, Plan};
use crate::resource::Kind;

/// A quota that an app can run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// VPCs in the region.
    Vpcs,
    /// Internet gateways in the region.
    InternetGateways,
    /// Elastic IPs in the region.
    Addresses,
    /// NAT gateways in each availability zone.
    NatGateways,
    /// Application load balancers in the region.
    LoadBalancers,
    /// Target groups in the region.
    TargetGroups,
    /// Virtual processors of all Fargate tasks in the region.
    FargateCpu,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Vpcs,
        Self::InternetGateways,
        Self::Addresses,
        Self::NatGateways,
        Self::LoadBalancers,
        Self::TargetGroups,
        Self::FargateCpu,
    ];

    /// Its service's code, as Service Quotas has it.
    pub fn service(self) -> &'static str {
        match self {
            Self::Vpcs | Self::InternetGateways | Self::NatGateways => "vpc",
            Self::Addresses => "ec2",
            Self::LoadBalancers | Self::TargetGroups => "elasticloadbalancing",
            Self::FargateCpu => "fargate",
        }
    }

    /// Its own code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Vpcs => "L-F678F1CE",
            Self::InternetGateways => "L-A4707A72",
            Self::Addresses => "L-0263D0A3",
            Self::NatGateways => "L-FE5A380F",
            Self::LoadBalancers => "L-53DA6B97",
            Self::TargetGroups => "L-B22855CB",
            Self::FargateCpu => "L-3032A538",
        }
    }

    /// What people call what it counts.
    pub fn label(self) -> &'static str {
        match self {
            Self::Vpcs => "VPCs",
            Self::InternetGateways => "internet gateways",
            Self::Addresses => "elastic IPs",
            Self::NatGateways => "NAT gateways",
            Self::LoadBalancers => "load balancers",
            Self::TargetGroups => "target groups",
            Self::FargateCpu => "Fargate vCPUs",
        }
    }
}

/// What a plan wants more of: by availability zone for a quota of zones, else under the empty name.
pub fn demand(spec: &Spec, plan: &Plan) -> BTreeMap<Quota, BTreeMap<String, f64>> {
    let mut demand: BTreeMap<Quota, BTreeMap<String, f64>> = BTreeMap::new();
    let mut more = |quota: Quota, zone: &str, count: f64| {
        *demand
            .entry(quota)
            .or_default()
            .entry(zone.to_owned())
            .or_default() += count;
    };
    let mut runs = true;
    for step in &plan.steps {
        let Action::Create { want, .. } = &step.action else {
            continue;
        };
        match want.kind() {
            Kind::Vpc => more(Quota::Vpcs, "", 1.0),
            Kind::InternetGateway => more(Quota::InternetGateways, "", 1.0),
            Kind::Address => more(Quota::Addresses, "", 1.0),
            // A gateway's name is its zone's.
            Kind::NatGateway => more(Quota::NatGateways, &step.key.name, 1.0),
            Kind::LoadBalancer => more(Quota::LoadBalancers, "", 1.0),
            Kind::TargetGroup => more(Quota::TargetGroups, "", 1.0),
            Kind::Service => runs = false,
            _ => {}
        }
    }
    // While a rollout is in flight both versions run; one of them does already, if the service is there.
    let versions = if runs { 1.0 } else { 2.0 };
    let tasks = f64::from(spec.service.desired_count) * versions;
    let cpu = tasks * f64::from(spec.service.cpu) / 1024.0;
    if cpu > 0.0 {
        more(Quota::FargateCpu, "", cpu);
    }
    demand
}

/// One check for each quota that the plan touches.
pub(super) async fn checks(survey: &dyn Survey, spec: &Spec, plan: &Plan) -> Vec<Check> {
    let demand = demand(spec, plan);
    join_all(
        demand
            .into_iter()
            .map(|(quota, wanted)| async move { check(survey, quota, &wanted).await }),
    )
    .await
}

async fn check(survey: &dyn Survey, quota: Quota, wanted: &BTreeMap<String, f64>) -> Check {
    let name = quota.label();
    let (most, used) = futures::join!(survey.quota(quota), survey.used(quota));
    let (most, used) = match (most, used) {
        (Ok(most), Ok(used)) => (most, used),
        (Err(error), _) | (_, Err(error)) => return Check::unknown(name, &error),
    };
    let tight = wanted
        .iter()
        .find(|(zone, more)| used.get(*zone).copied().unwrap_or_default() + **more > most);
    // Where all fits, the fullest place says it for all.
    let fullest = wanted.iter().max_by(|left, right| {
        let full =
            |(zone, more): (&String, &f64)| used.get(zone).copied().unwrap_or_default() + more;
        full(*left).total_cmp(&full(*right))
    });
    let Some((zone, more)) = tight.or(fullest) else {
        return Check::ok(name, "none is wanted");
    };
    let taken = used.get(zone).copied().unwrap_or_default();
    let place = if zone.is_empty() {
        String::new()
    } else {
        format!(" in {zone}")
    };
    let what = format!("{more} more{place}, {taken} of {most} taken");
    if tight.is_none() {
        return Check::ok(name, what);
    }
    Check::not_ok(name, Trouble::Account, what).next(format!(
        "raise the quota {} of `{}` in Service Quotas, or make room",
        quota.code(),
        quota.service()
    ))
}

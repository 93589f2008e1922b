//! What `doctor` asks of an account, one method a question. Must not change anything, or decide what an answer means.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_ec2::types::NatGatewayState;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use ecspipe_provision::doctor::quota::Quota;
use ecspipe_provision::doctor::{Answer, Identity, Image, Region, Survey, Verdict};
use ecspipe_provision::{CloudError, CloudErrorKind, Statement};
use futures::FutureExt as _;
use serde_json::Value;

use crate::classify::{OrMissing as _, Said as _};
use crate::kinds::{filter, unsaid};
use crate::{Account, all};

impl Survey for Account {
    fn identity(&self) -> Answer<'_, Identity> {
        identity(self).boxed()
    }

    fn region(&self) -> Answer<'_, Region> {
        region(self).boxed()
    }

    fn zones(&self) -> Answer<'_, Vec<String>> {
        Account::zones(self).boxed()
    }

    fn simulate<'a>(
        &'a self,
        principal: &'a str,
        statement: &'a Statement,
    ) -> Answer<'a, Vec<Verdict>> {
        simulate(self, principal, statement).boxed()
    }

    fn role<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>> {
        role(self, name).boxed()
    }

    fn quota(&self, quota: Quota) -> Answer<'_, f64> {
        self::quota(self, quota).boxed()
    }

    fn used(&self, quota: Quota) -> Answer<'_, BTreeMap<String, f64>> {
        used(self, quota).boxed()
    }

    fn image<'a>(&'a self, repository: &'a str, reference: &'a str) -> Answer<'a, Image> {
        image(self, repository, reference).boxed()
    }
}

/// Keeps the date of an answer: the other side's clock.
#[derive(Debug, Clone, Default)]
struct ReadDate(Arc<Mutex<Option<String>>>);

impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Ok(mut kept) = self.0.lock() {
            *kept = date.map(ToOwned::to_owned);
        }
        Ok(())
    }
}

async fn identity(account: &Account) -> Result<Identity, CloudError> {
    let date = ReadDate::default();
    let answer = account
        .sts
        .get_caller_identity()
        .customize()
        .interceptor(date.clone())
        .send()
        .await
        .said("sts", "GetCallerIdentity")?;
    let arn = answer.arn().unwrap_or_default().to_owned();
    let text = date.0.lock().ok().and_then(|mut kept| kept.take());
    let theirs = text.and_then(|text| DateTime::from_str(&text, Format::HttpDate).ok());
    Ok(Identity {
        account: answer.account().unwrap_or_default().to_owned(),
        partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
        ahead: theirs.map(|theirs| account.pace.now().as_second() - theirs.secs()),
        arn,
    })
}

/// Asked of the region itself; where nobody answers there, of the one that every account of the partition has.
async fn region(account: &Account) -> Result<Region, CloudError> {
    let home = match ecspipe_spec::facts::partition_of(account.region()) {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        _ => "us-east-1",
    };
    match status(account, account.region()).await {
        Err(error)
            if home != account.region()
                && matches!(
                    error.kind,
                    CloudErrorKind::Other | CloudErrorKind::Credentials
                ) =>
        {
            status(account, home).await
        }
        answer => answer,
    }
}

async fn status(account: &Account, ask: &str) -> Result<Region, CloudError> {
    let elsewhere =
        aws_sdk_ec2::config::Config::builder().region(aws_config::Region::new(ask.to_owned()));
    let answer = account
        .ec2
        .describe_regions()
        .all_regions(true)
        .filters(filter("region-name", account.region()))
        .customize()
        .config_override(elsewhere)
        .send()
        .await
        .said("ec2", "DescribeRegions")?;
    let region = answer.regions().first();
    Ok(match region.map(|region| region.opt_in_status()) {
        None => Region::Unknown,
        Some(Some("not-opted-in")) => Region::Closed,
        Some(_) => Region::Open,
    })
}

async fn simulate(
    account: &Account,
    principal: &str,
    statement: &Statement,
) -> Result<Vec<Verdict>, CloudError> {
    let actions: Vec<String> = statement.actions.iter().cloned().collect();
    let resources: Vec<String> = statement.resources.iter().cloned().collect();
    let items = account
        .iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .set_action_names(Some(actions))
        .set_resource_arns(Some(resources))
        .set_context_entries(Some(context(statement)))
        .into_paginator()
        .items()
        .send();
    let results = all(items).await.said("iam", "SimulatePrincipalPolicy")?;
    let mut verdicts = Vec::new();
    for result in results {
        // The answer on the whole is that of the first resource; each has one of its own.
        let each = result
            .resource_specific_results()
            .iter()
            .map(|specific| specific.eval_resource_decision());
        let decisions: Vec<&PolicyEvaluationDecisionType> =
            each.chain([result.eval_decision()]).collect();
        let allowed = PolicyEvaluationDecisionType::Allowed;
        if decisions.iter().all(|decision| **decision == allowed) {
            continue;
        }
        let denied = PolicyEvaluationDecisionType::ExplicitDeny;
        verdicts.push(Verdict {
            action: result.eval_action_name().to_owned(),
            denied: decisions.contains(&&denied),
        });
    }
    Ok(verdicts)
}

/// A statement's condition as the context of a request that meets it.
fn context(statement: &Statement) -> Vec<ContextEntry> {
    let keys = statement
        .condition
        .values()
        .filter_map(Value::as_object)
        .flatten();
    keys.map(|(key, values)| {
        let values: Vec<String> = match values {
            // Any one of several meets it.
            Value::Array(values) => values.first().map(text).into_iter().collect(),
            value => vec![text(value)],
        };
        ContextEntry::builder()
            .context_key_name(key)
            .context_key_type(ContextKeyTypeEnum::String)
            .set_context_key_values(Some(values))
            .build()
    })
    .collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

async fn role(account: &Account, name: &str) -> Result<Option<String>, CloudError> {
    let answer = account
        .iam
        .get_role()
        .role_name(name)
        .send()
        .await
        .said("iam", "GetRole")
        .or_missing()?;
    Ok(answer.and_then(|answer| answer.role().map(|role| role.arn().to_owned())))
}

/// The account's value; where it has none of its own, AWS's default.
async fn quota(account: &Account, quota: Quota) -> Result<f64, CloudError> {
    let (service, code) = (quota.service(), quota.code());
    let own = account
        .quotas
        .get_service_quota()
        .service_code(service)
        .quota_code(code)
        .send()
        .await
        .said("servicequotas", "GetServiceQuota")
        .or_missing()?;
    let own = own.and_then(|answer| answer.quota().and_then(|quota| quota.value()));
    if let Some(value) = own {
        return Ok(value);
    }
    let answer = account
        .quotas
        .get_aws_default_service_quota()
        .service_code(service)
        .quota_code(code)
        .send()
        .await
        .said("servicequotas", "GetAWSDefaultServiceQuota")?;
    let value = answer.quota().and_then(|quota| quota.value());
    value.ok_or_else(|| unsaid("servicequotas", "GetAWSDefaultServiceQuota", "value"))
}

async fn used(account: &Account, quota: Quota) -> Result<BTreeMap<String, f64>, CloudError> {
    let count = match quota {
        Quota::Vpcs => vpcs(account).await?,
        Quota::InternetGateways => internet_gateways(account).await?,
        Quota::Addresses => addresses(account).await?,
        Quota::NatGateways => return nat_gateways(account).await,
        Quota::LoadBalancers => load_balancers(account).await?,
        Quota::TargetGroups => target_groups(account).await?,
        Quota::FargateCpu => return Ok([(String::new(), fargate(account).await?)].into()),
    };
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Ok([(String::new(), f64::from(count))].into())
}

async fn vpcs(account: &Account) -> Result<usize, CloudError> {
    let items = account.ec2.describe_vpcs().into_paginator().items().send();
    Ok(all(items).await.said("ec2", "DescribeVpcs")?.len())
}

async fn internet_gateways(account: &Account) -> Result<usize, CloudError> {
    let items = account
        .ec2
        .describe_internet_gateways()
        .into_paginator()
        .items()
        .send();
    Ok(all(items)
        .await
        .said("ec2", "DescribeInternetGateways")?
        .len())
}

async fn addresses(account: &Account) -> Result<usize, CloudError> {
    let answer = account
        .ec2
        .describe_addresses()
        .send()
        .await
        .said("ec2", "DescribeAddresses")?;
    Ok(answer.addresses().len())
}

/// By zone, which only a gateway's subnet tells.
async fn nat_gateways(account: &Account) -> Result<BTreeMap<String, f64>, CloudError> {
    let gateways = account
        .ec2
        .describe_nat_gateways()
        .into_paginator()
        .items()
        .send();
    let subnets = account
        .ec2
        .describe_subnets()
        .into_paginator()
        .items()
        .send();
    let (gateways, subnets) = futures::try_join!(
        async { all(gateways).await.said("ec2", "DescribeNatGateways") },
        async { all(subnets).await.said("ec2", "DescribeSubnets") },
    )?;
    let zone = |id: Option<&str>| {
        let subnet = subnets.iter().find(|subnet| subnet.subnet_id() == id);
        subnet
            .and_then(|subnet| subnet.availability_zone())
            .unwrap_or_default()
            .to_owned()
    };
    let mut used = BTreeMap::new();
    for gateway in gateways {
        let gone = matches!(
            gateway.state(),
            Some(NatGatewayState::Deleted | NatGatewayState::Failed)
        );
        if !gone {
            *used.entry(zone(gateway.subnet_id())).or_default() += 1.0;
        }
    }
    Ok(used)
}

async fn load_balancers(account: &Account) -> Result<usize, CloudError> {
    let items = account
        .elb
        .describe_load_balancers()
        .into_paginator()
        .items()
        .send();
    let found = all(items)
        .await
        .said("elasticloadbalancing", "DescribeLoadBalancers")?;
    let application = aws_sdk_elasticloadbalancingv2::types::LoadBalancerTypeEnum::Application;
    Ok(found
        .iter()
        .filter(|balancer| balancer.r#type() == Some(&application))
        .count())
}

async fn target_groups(account: &Account) -> Result<usize, CloudError> {
    let items = account
        .elb
        .describe_target_groups()
        .into_paginator()
        .items()
        .send();
    Ok(all(items)
        .await
        .said("elasticloadbalancing", "DescribeTargetGroups")?
        .len())
}

/// The processors of every Fargate task of the account in the region. ECS only tells them task by task.
async fn fargate(account: &Account) -> Result<f64, CloudError> {
    let clusters = account.ecs.list_clusters().into_paginator().items().send();
    let mut units = 0.0;
    for cluster in all(clusters).await.said("ecs", "ListClusters")? {
        let tasks = account
            .ecs
            .list_tasks()
            .cluster(&cluster)
            .launch_type(aws_sdk_ecs::types::LaunchType::Fargate)
            .into_paginator()
            .items()
            .send();
        let tasks = all(tasks).await.said("ecs", "ListTasks")?;
        for some in tasks.chunks(100) {
            let answer = account
                .ecs
                .describe_tasks()
                .cluster(&cluster)
                .set_tasks(Some(some.to_vec()))
                .send()
                .await
                .said("ecs", "DescribeTasks")?;
            let cpu = answer.tasks().iter().filter_map(|task| task.cpu());
            units += cpu.filter_map(|cpu| cpu.parse::<f64>().ok()).sum::<f64>();
        }
    }
    Ok(units / 1024.0)
}

/// An image of a repository by its tag or its digest.
pub(crate) fn image_id(reference: &str) -> aws_sdk_ecr::types::ImageIdentifier {
    let id = aws_sdk_ecr::types::ImageIdentifier::builder();
    let id = if reference.starts_with("sha256:") {
        id.image_digest(reference)
    } else {
        id.image_tag(reference)
    };
    id.build()
}

async fn image(account: &Account, repository: &str, reference: &str) -> Result<Image, CloudError> {
    let answer = account
        .ecr
        .describe_images()
        .repository_name(repository)
        .image_ids(image_id(reference))
        .send()
        .await
        .said("ecr", "DescribeImages");
    match answer {
        Ok(_) => Ok(Image::There),
        Err(error) if error.kind == CloudErrorKind::NotFound => {
            Ok(if error.code.starts_with("Repository") {
                Image::NoRepository
            } else {
                Image::Missing
            })
        }
        Err(error) => Err(error),
    }
}

//! ECS clusters. Must not touch what runs in them.

use aws_sdk_ecs::types::{Cluster as Found, ClusterField, ClusterSetting, ClusterSettingName, Tag};
use ecspipe_provision::resource::Cluster;
use ecspipe_provision::{CloudError, Have, Kind, Progress, Scope, Tags};

use super::{Seen, Update, is_ours, once_let_go, unless_ours};
use crate::Account;
use crate::classify::{OrMissing as _, Said as _, local};
use crate::view::View;

pub(crate) async fn list(view: &View, scope: &Scope) -> Result<Vec<Have>, CloudError> {
    let names = scope.names_of(Kind::Cluster);
    let all = view.clusters.get_or_try_init(|| fetch(view)).await?;
    let ours = all.iter().filter(|cluster| {
        let name = cluster.cluster_name();
        name.is_some_and(|name| names.contains(name))
    });
    Ok(ours
        .map(|cluster| seen(cluster).into_have(scope, Kind::Cluster))
        .collect())
}

/// The clusters of all apps that are looked at; AWS takes a hundred names at a time.
async fn fetch(view: &View) -> Result<Vec<Found>, CloudError> {
    let mut found = Vec::new();
    for names in view.names_of(Kind::Cluster).chunks(100) {
        let call = view
            .ecs
            .describe_clusters()
            .set_clusters(Some(names.to_vec()))
            .include(ClusterField::Tags)
            .include(ClusterField::Settings)
            .send()
            .await;
        // One that is missing shows among the failures, one that was deleted as INACTIVE.
        let answer = call.said("ecs", "DescribeClusters")?;
        let active = answer.clusters().iter().filter(|cluster| {
            cluster.status() == Some("ACTIVE") || cluster.status() == Some("PROVISIONING")
        });
        found.extend(active.cloned());
    }
    Ok(found)
}

fn seen(cluster: &Found) -> Seen {
    let name = cluster.cluster_name().unwrap_or_default();
    let insights = cluster
        .settings()
        .iter()
        .find(|setting| setting.name() == Some(&ClusterSettingName::ContainerInsights));
    let insights = insights
        .and_then(|setting| setting.value())
        .unwrap_or("disabled");
    Seen::named(
        name,
        ecs_tags(cluster.tags()),
        Cluster {
            name: name.to_owned(),
            container_insights: insights.to_owned(),
        },
    )
}

/// Plain tags of ECS's.
pub(crate) fn ecs_tags(tags: &[Tag]) -> std::collections::BTreeMap<String, String> {
    crate::tags::map(tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// Sets and removes the tags of anything of ECS's.
pub(crate) async fn retag(
    account: &Account,
    arn: &str,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    let Some(retag) = update.retag() else {
        return Ok(());
    };
    if !retag.add.is_empty() {
        let tags = crate::tags::list!(aws_sdk_ecs::types::Tag, retag.add);
        account
            .ecs
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags))
            .send()
            .await
            .said("ecs", "TagResource")?;
    }
    if !retag.remove.is_empty() {
        let call = account
            .ecs
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(retag.remove))
            .send()
            .await;
        call.said("ecs", "UntagResource")?;
    }
    Ok(())
}

fn insights(want: &Cluster) -> ClusterSetting {
    ClusterSetting::builder()
        .name(ClusterSettingName::ContainerInsights)
        .value(&want.container_insights)
        .build()
}

/// Creating a cluster that exists gives it back, whosever it is.
pub(crate) async fn create(
    account: &Account,
    want: &Cluster,
    tags: &Tags,
) -> Result<(), CloudError> {
    let call = account
        .ecs
        .create_cluster()
        .cluster_name(&want.name)
        .settings(insights(want))
        .set_tags(Some(crate::tags::list!(
            aws_sdk_ecs::types::Tag,
            tags.all()
        )))
        .send()
        .await;
    let answer = call.said("ecs", "CreateCluster")?;
    let made = answer.cluster().map(Found::tags).unwrap_or_default();
    if is_ours(&ecs_tags(made), tags) {
        return Ok(());
    }
    let call = account
        .ecs
        .describe_clusters()
        .clusters(&want.name)
        .include(ClusterField::Tags)
        .send()
        .await;
    let answer = call.said("ecs", "DescribeClusters")?;
    let found = answer.clusters().first().map(Found::tags);
    let mut refusal = local(
        "NameTaken",
        format!("there is a cluster {} already", want.name),
    );
    refusal.service = "ecs".to_owned();
    refusal.operation = "CreateCluster".to_owned();
    unless_ours(refusal, &ecs_tags(found.unwrap_or_default()), tags)
}

pub(crate) async fn update(
    account: &Account,
    arn: &str,
    want: &Cluster,
    update: &Update<'_>,
) -> Result<(), CloudError> {
    if update.touches(&["container_insights"]) {
        let call = account
            .ecs
            .update_cluster_settings()
            .cluster(&want.name)
            .settings(insights(want))
            .send()
            .await;
        call.said("ecs", "UpdateClusterSettings")?;
    }
    retag(account, arn, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        account
            .ecs
            .delete_cluster()
            .cluster(&have.name)
            .send()
            .await
            .said("ecs", "DeleteCluster")
            .or_missing()
            .map(|_| ())
    };
    let others = || services(account, &have.name);
    once_let_go(
        account.pace,
        progress,
        "the tasks in the cluster to end",
        call,
        others,
    )
    .await
}

/// The services that stand in the cluster and will: ECS lists none that drains.
async fn services(account: &Account, cluster: &str) -> Result<Vec<String>, CloudError> {
    let call = account.ecs.list_services().cluster(cluster).send().await;
    let answer = call.said("ecs", "ListServices")?;
    let names = answer
        .service_arns()
        .iter()
        .filter_map(|arn| arn.rsplit('/').next());
    Ok(names.map(|name| format!("service {name}")).collect())
}

//! The engine's trait on an account: sends each kind to its module. Must not know what a kind's calls are.

use ecspipe_provision::{
    Change, Cloud, CloudError, Have, Key, Kind, Listing, Made, Progress, Resource, Scope, Tags,
    Targets,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::Account;
use crate::kinds::{self, Update};
use crate::retries::telling;
use crate::view::View;

impl Cloud for Account {
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>> {
        let view = View::new(self, std::slice::from_ref(scope));
        async move { view.list(kind, scope).await }.boxed()
    }

    fn look<'a>(&'a self, scopes: &[Scope]) -> Box<dyn Listing + 'a> {
        Box::new(View::new(self, scopes))
    }

    fn targets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Targets, CloudError>> {
        kinds::target_group::targets(self, id).boxed()
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        resource: &'a Resource,
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        telling(progress, create(self, key, resource, tags, progress)).boxed()
    }

    fn update<'a>(
        &'a self,
        have: &'a Have,
        want: &'a Resource,
        changes: &'a [Change],
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        let update = Update {
            have,
            changes,
            tags,
            progress,
        };
        let work = async move {
            change(self, want, &update).await?;
            Ok(Made {
                id: have.id.clone(),
                attributes: have.attributes.clone(),
            })
        };
        telling(progress, work).boxed()
    }

    fn delete<'a>(
        &'a self,
        have: &'a Have,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), CloudError>> {
        telling(progress, delete(self, have, progress)).boxed()
    }
}

/// A resource whose id is its name, and that has no attributes.
fn named(name: &str) -> Made {
    known(name.to_owned())
}

fn known(id: String) -> Made {
    Made {
        id,
        ..Made::default()
    }
}

async fn create(
    account: &Account,
    key: &Key,
    want: &Resource,
    tags: &Tags,
    progress: &Progress,
) -> Result<Made, CloudError> {
    Ok(match want {
        Resource::EncryptionKey(want) => {
            known(kinds::encryption_key::create(account, want, tags, progress).await?)
        }
        Resource::Bucket(want) => {
            kinds::bucket::create(account, want, tags, progress).await?;
            named(&want.name)
        }
        Resource::LogGroup(want) => {
            kinds::log_group::create(account, want, tags).await?;
            named(&want.name)
        }
        Resource::ImageRepository(want) => {
            kinds::image_repository::create(account, want, tags).await?
        }
        Resource::Role(want) => known(kinds::role::create(account, want, tags, progress).await?),
        Resource::Vpc(want) => known(kinds::vpc::create(account, want, tags, progress).await?),
        Resource::InternetGateway(want) => {
            known(kinds::internet_gateway::create(account, want, tags, progress).await?)
        }
        Resource::Subnet(want) => {
            known(kinds::subnet::create(account, want, tags, progress).await?)
        }
        Resource::Address(_) => known(kinds::address::create(account, tags).await?),
        Resource::NatGateway(want) => {
            known(kinds::nat_gateway::create(account, key, want, tags, progress).await?)
        }
        Resource::RouteTable(want) => {
            known(kinds::route_table::create(account, key, want, tags, progress).await?)
        }
        Resource::SecurityGroup(want) => {
            known(kinds::security_group::create(account, want, tags, progress).await?)
        }
        Resource::Endpoint(want) => {
            known(kinds::endpoint::create(account, key, want, tags, progress).await?)
        }
        Resource::LoadBalancer(want) => {
            kinds::load_balancer::create(account, want, tags, progress).await?
        }
        Resource::TargetGroup(want) => {
            known(kinds::target_group::create(account, want, tags, progress).await?)
        }
        Resource::Listener(want) => {
            known(kinds::listener::create(account, want, tags, progress).await?)
        }
        Resource::Alarm(want) => {
            kinds::alarm::create(account, want, tags).await?;
            named(&want.name)
        }
        Resource::Cluster(want) => {
            kinds::cluster::create(account, want, tags).await?;
            named(&want.name)
        }
        Resource::TaskDefinition(want) => {
            known(kinds::task_definition::create(account, want, tags).await?)
        }
        Resource::Service(want) => {
            kinds::service::create(account, key, want, tags, progress).await?;
            named(&want.name)
        }
        Resource::DeploymentApplication(want) => {
            kinds::code_deploy::create_application(account, want, tags).await?;
            named(&want.name)
        }
        Resource::DeploymentConfig(want) => {
            kinds::code_deploy::create_config(account, want).await?;
            named(&want.name)
        }
        Resource::DeploymentGroup(want) => {
            kinds::code_deploy::create_group(account, want, tags, progress).await?;
            named(&want.name)
        }
        Resource::SourceRepository(want) => {
            kinds::source_repository::create(account, want, tags).await?
        }
        Resource::BuildProject(want) => {
            kinds::build_project::create(account, want, tags, progress).await?;
            named(&want.name)
        }
        Resource::Pipeline(want) => {
            kinds::pipeline::create(account, want, tags, progress).await?;
            named(&want.name)
        }
        Resource::EventRule(want) => {
            kinds::event_rule::create(account, want, tags).await?;
            named(&want.name)
        }
    })
}

async fn change(account: &Account, want: &Resource, update: &Update<'_>) -> Result<(), CloudError> {
    let name = update.have.name.as_str();
    match want {
        Resource::EncryptionKey(want) => kinds::encryption_key::update(account, want, update).await,
        Resource::Bucket(want) => kinds::bucket::update(account, want, update).await,
        Resource::LogGroup(want) => {
            kinds::log_group::update(
                account,
                &account.arn("logs", &format!("log-group:{name}")).await?,
                want,
                update,
            )
            .await
        }
        Resource::ImageRepository(want) => {
            kinds::image_repository::update(
                account,
                &account.arn("ecr", &format!("repository/{name}")).await?,
                want,
                update,
            )
            .await
        }
        Resource::Role(want) => kinds::role::update(account, want, update).await,
        Resource::Vpc(want) => kinds::vpc::update(account, want, update).await,
        Resource::InternetGateway(want) => {
            kinds::internet_gateway::update(account, want, update).await
        }
        Resource::Subnet(want) => kinds::subnet::update(account, want, update).await,
        Resource::Address(_) => kinds::address::update(account, update).await,
        Resource::NatGateway(_) => kinds::nat_gateway::update(account, update).await,
        Resource::RouteTable(want) => kinds::route_table::update(account, want, update).await,
        Resource::SecurityGroup(want) => kinds::security_group::update(account, want, update).await,
        Resource::Endpoint(want) => kinds::endpoint::update(account, want, update).await,
        Resource::LoadBalancer(want) => kinds::load_balancer::update(account, want, update).await,
        Resource::TargetGroup(want) => kinds::target_group::update(account, want, update).await,
        Resource::Listener(want) => kinds::listener::update(account, want, update).await,
        Resource::Alarm(want) => {
            kinds::alarm::update(
                account,
                &account.arn("cloudwatch", &format!("alarm:{name}")).await?,
                want,
                update,
            )
            .await
        }
        Resource::Cluster(want) => {
            kinds::cluster::update(
                account,
                &account.arn("ecs", &format!("cluster/{name}")).await?,
                want,
                update,
            )
            .await
        }
        Resource::TaskDefinition(want) => {
            kinds::task_definition::update(account, want, update).await
        }
        Resource::Service(want) => {
            let arn = account
                .arn("ecs", &format!("service/{}/{name}", want.cluster))
                .await?;
            kinds::service::update(account, &arn, want, update).await
        }
        Resource::DeploymentApplication(_) => {
            let arn = account
                .arn("codedeploy", &format!("application:{name}"))
                .await?;
            kinds::code_deploy::update_application(account, &arn, update).await
        }
        // It can't be changed and carries no tags: the engine replaces it.
        Resource::DeploymentConfig(_) => Ok(()),
        Resource::DeploymentGroup(want) => {
            let arn = account
                .arn(
                    "codedeploy",
                    &format!("deploymentgroup:{}/{name}", want.application),
                )
                .await?;
            kinds::code_deploy::update_group(account, &arn, want, update).await
        }
        Resource::SourceRepository(want) => {
            kinds::source_repository::update(
                account,
                &account.arn("codecommit", name).await?,
                want,
                update,
            )
            .await
        }
        Resource::BuildProject(want) => kinds::build_project::update(account, want, update).await,
        Resource::Pipeline(want) => {
            kinds::pipeline::update(
                account,
                &account.arn("codepipeline", name).await?,
                want,
                update,
            )
            .await
        }
        Resource::EventRule(want) => {
            kinds::event_rule::update(
                account,
                &account.arn("events", &format!("rule/{name}")).await?,
                want,
                update,
            )
            .await
        }
    }
}

async fn delete(account: &Account, have: &Have, progress: &Progress) -> Result<(), CloudError> {
    match have.resource.kind() {
        Kind::EncryptionKey => kinds::encryption_key::delete(account, have).await,
        Kind::Bucket => kinds::bucket::delete(account, have, progress).await,
        Kind::LogGroup => kinds::log_group::delete(account, have).await,
        Kind::ImageRepository => kinds::image_repository::delete(account, have).await,
        Kind::Role => kinds::role::delete(account, have).await,
        Kind::Vpc => kinds::vpc::delete(account, have, progress).await,
        Kind::InternetGateway => kinds::internet_gateway::delete(account, have, progress).await,
        Kind::Subnet => kinds::subnet::delete(account, have, progress).await,
        Kind::Address => kinds::address::delete(account, have, progress).await,
        Kind::NatGateway => kinds::nat_gateway::delete(account, have, progress).await,
        Kind::RouteTable => kinds::route_table::delete(account, have, progress).await,
        Kind::SecurityGroup => kinds::security_group::delete(account, have, progress).await,
        Kind::Endpoint => kinds::endpoint::delete(account, have, progress).await,
        Kind::LoadBalancer => kinds::load_balancer::delete(account, have, progress).await,
        Kind::TargetGroup => kinds::target_group::delete(account, have, progress).await,
        Kind::Listener => kinds::listener::delete(account, have).await,
        Kind::Alarm => kinds::alarm::delete(account, have).await,
        Kind::Cluster => kinds::cluster::delete(account, have, progress).await,
        Kind::TaskDefinition => kinds::task_definition::delete(account, have).await,
        Kind::Service => kinds::service::delete(account, have, progress).await,
        Kind::DeploymentApplication => kinds::code_deploy::delete_application(account, have).await,
        Kind::DeploymentConfig => kinds::code_deploy::delete_config(account, have).await,
        Kind::DeploymentGroup => kinds::code_deploy::delete_group(account, have, progress).await,
        Kind::SourceRepository => kinds::source_repository::delete(account, have).await,
        Kind::BuildProject => kinds::build_project::delete(account, have).await,
        Kind::Pipeline => kinds::pipeline::delete(account, have).await,
        Kind::EventRule => kinds::event_rule::delete(account, have).await,
    }
}

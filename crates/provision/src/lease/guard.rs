//! A cloud that is changed under a lease: nothing is begun once it is lost. Must not keep the lease.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::keep::{Held, Lost};
use crate::cloud::{
    Cloud, CloudError, CloudErrorKind, Have, Listing, Made, Progress, Scope, Tags, Targets,
};
use crate::plan::Change;
use crate::resource::{Key, Kind, Resource};

/// The same cloud, in which every change asks first whether the lease still holds.
pub struct UnderLease<'a> {
    cloud: &'a dyn Cloud,
    held: Option<&'a Held>,
}

impl<'a> UnderLease<'a> {
    /// `cloud` under the lease `held`; `None` where nobody could hold one.
    pub fn new(cloud: &'a dyn Cloud, held: Option<&'a Held>) -> Self {
        Self { cloud, held }
    }

    async fn assured(&self) -> Result<(), CloudError> {
        match self.held {
            Some(held) => held.assured().await.map_err(refused),
            None => Ok(()),
        }
    }
}

fn refused(lost: Lost) -> CloudError {
    CloudError {
        service: String::new(),
        operation: String::new(),
        code: "LeaseLost".to_owned(),
        message: format!("nothing was done: {lost}"),
        request_id: None,
        kind: CloudErrorKind::Conflict,
        hint: None,
    }
}

impl Cloud for UnderLease<'_> {
    fn list<'a>(
        &'a self,
        kind: Kind,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<Have>, CloudError>> {
        self.cloud.list(kind, scope)
    }

    fn look<'a>(&'a self, scopes: &[Scope]) -> Box<dyn Listing + 'a> {
        self.cloud.look(scopes)
    }

    fn targets<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Targets, CloudError>> {
        self.cloud.targets(id)
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        resource: &'a Resource,
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        async move {
            self.assured().await?;
            self.cloud.create(key, resource, tags, progress).await
        }
        .boxed()
    }

    fn update<'a>(
        &'a self,
        have: &'a Have,
        want: &'a Resource,
        changes: &'a [Change],
        tags: &'a Tags,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Made, CloudError>> {
        async move {
            self.assured().await?;
            self.cloud.update(have, want, changes, tags, progress).await
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        have: &'a Have,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), CloudError>> {
        async move {
            self.assured().await?;
            // The lease lies in it.
            if let (Kind::Bucket, Some(held)) = (have.resource.kind(), self.held) {
                held.ends_with_its_place();
            }
            self.cloud.delete(have, progress).await
        }
        .boxed()
    }
}

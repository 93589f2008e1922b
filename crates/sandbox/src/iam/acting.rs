//! Services that act with a role: each call that one makes in its name is authorised like a call over the wire. Must not make
//! the calls.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::authorize::{Denial, Held, authorize};
use super::evaluate::{Context, Principal};
use super::needs::Need;
use crate::services::iam;
use crate::wire::{Call, Http, Protocol};
use crate::world::World;

/// A session of a role that a service has assumed.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    principal: Principal,
    region: String,
}

impl Actor {
    /// The service assumes the role for `source` (an ARN), in a session of the name that it gives to its sessions. The error
    /// says why it can't, in words.
    pub(crate) fn assume(
        world: &World,
        region: &str,
        role: &str,
        service: &str,
        source: &str,
        session: &str,
    ) -> Result<Self, String> {
        iam::can_assume(world, role, service, source)?;
        let name = role.rsplit('/').next().unwrap_or_default();
        let partition = crate::world::partition(region);
        let session = format!(
            "arn:{partition}:sts::{}:assumed-role/{name}/{session}",
            world.account
        );
        Ok(Self {
            principal: Principal::Session {
                role: role.to_owned(),
                session,
            },
            region: region.to_owned(),
        })
    }

    /// Whether it may call an operation with the input. Operations that a service has beside its API (`UploadArchive`, the layers
    /// of a registry) go by the names of their actions.
    pub(crate) fn may(
        &self,
        world: &World,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<(), Denial> {
        let protocol = match service {
            "ec2" => Protocol::Ec2,
            "elasticloadbalancing" | "iam" | "sts" => Protocol::Query,
            _ => Protocol::Json,
        };
        let call = self.call(protocol, service, operation, input, Http::default());
        authorize(world, &self.principal, &call)
    }

    /// The region that it acts in.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Whether it may do something of a service that the sandbox lacks otherwise.
    pub(crate) fn needs(&self, world: &World, action: &str, resource: &str) -> Result<(), Denial> {
        let need = Need {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: Context::default(),
        };
        Held::of(world, &self.principal).check(world, &self.principal, &need, &self.region)
    }

    /// Whether it may call an operation of S3 on a bucket or on an object, or a version of it.
    pub(crate) fn may_s3(
        &self,
        world: &World,
        operation: &str,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<(), Denial> {
        let query = version.map(|id| ("versionId".to_owned(), id.to_owned()));
        let http = Http {
            method: match operation.starts_with("Put") {
                true => Method::PUT,
                false => Method::GET,
            },
            path: format!("/{bucket}/{key}"),
            query: query.into_iter().collect(),
            headers: BTreeMap::new(),
            body: bytes::Bytes::new(),
        };
        let call = self.call(Protocol::RestXml, "s3", operation, Value::Null, http);
        authorize(world, &self.principal, &call)
    }

    fn call(
        &self,
        protocol: Protocol,
        service: &str,
        operation: &str,
        input: Value,
        http: Http,
    ) -> Call {
        Call {
            protocol,
            service: service.to_owned(),
            operation: operation.to_owned(),
            region: self.region.clone(),
            access_key: String::new(),
            input,
            http,
        }
    }
}

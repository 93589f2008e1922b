//! Elastic IP addresses. Must not associate them: a NAT gateway does that by itself.

use aws_sdk_ec2::types::{DomainType, Filter, ResourceType};
use ecspipe_provision::resource::Address;
use ecspipe_provision::{CloudError, Have, Progress, Tags};

use super::{
    Seen, Update, ec2_tags, first_id, of_tags, once_released, retag_ec2, tag_specification,
    unrepeated, unsaid,
};
use crate::Account;
use crate::classify::Said as _;
use crate::view::View;

pub(crate) async fn list(view: &View) -> Result<Vec<Seen>, CloudError> {
    fetch(view, view.of_apps()).await
}

async fn fetch(account: &Account, filters: Vec<Filter>) -> Result<Vec<Seen>, CloudError> {
    // DescribeAddresses doesn't page.
    let answer = account
        .ec2
        .describe_addresses()
        .set_filters(Some(filters))
        .send()
        .await
        .said("ec2", "DescribeAddresses")?;
    let seen = answer.addresses().iter().map(|address| {
        let domain = address
            .domain()
            .map_or("vpc", DomainType::as_str)
            .to_owned();
        let resource = Address {
            domain,
            after: Default::default(),
        };
        Seen::new(
            address.allocation_id().unwrap_or_default(),
            ec2_tags(address.tags()),
            resource,
        )
    });
    Ok(seen.collect())
}

pub(crate) async fn create(account: &Account, tags: &Tags) -> Result<String, CloudError> {
    let make = || async {
        let call = account
            .ec2
            .allocate_address()
            .domain(DomainType::Vpc)
            .tag_specifications(tag_specification(ResourceType::ElasticIp, tags));
        let made = unrepeated!(aws_sdk_ec2, call)
            .await
            .said("ec2", "AllocateAddress")?;
        made.allocation_id()
            .map(ToOwned::to_owned)
            .ok_or_else(|| unsaid("ec2", "AllocateAddress", "allocation id"))
    };
    let look = || async { fetch(account, of_tags(tags)).await.map(first_id) };
    account.pace.once(make, look).await
}

pub(crate) async fn update(account: &Account, update: &Update<'_>) -> Result<(), CloudError> {
    retag_ec2(account, update).await
}

pub(crate) async fn delete(
    account: &Account,
    have: &Have,
    progress: &Progress,
) -> Result<(), CloudError> {
    let call = || async {
        let call = account
            .ec2
            .release_address()
            .allocation_id(&have.id)
            .send()
            .await;
        call.said("ec2", "ReleaseAddress").map(|_| ())
    };
    once_released(
        account.pace,
        progress,
        "the NAT gateway to let the address go",
        call,
    )
    .await
}

//! The image that runs until the first deployment. What AWS can't be asked is said to be so. Must not ask another registry.

use ecspipe_spec::ImageAddress;

use super::{Check, Image, Survey, Trouble};
use crate::desired::Inputs;

pub(super) async fn check(survey: &dyn Survey, inputs: &Inputs<'_>) -> Check {
    const CHECK: &str = "image";
    let facts = inputs.facts;
    let Some(image) = &inputs.spec.service.image else {
        return Check::ok(
            CHECK,
            "the spec names none: a public one runs until the first deployment",
        );
    };
    let address = ImageAddress::of(image);
    if address.registry != facts.registry() {
        let why = if address.registry == "docker.io" {
            format!("{image} is Docker Hub's, which limits anonymous pulls by address")
        } else if address.ecr().is_some() {
            format!("{image} is of another account or region, whose policy decides")
        } else {
            format!(
                "{image} is of {}, which AWS can't be asked about",
                address.registry
            )
        };
        return Check::skipped(CHECK, format!("{why}; its architecture can't be seen"));
    }
    match survey.image(address.repository, address.reference).await {
        Ok(Image::There) => Check::ok(
            CHECK,
            format!(
                "{}:{} is in ECR; its architecture can't be seen",
                address.repository, address.reference
            ),
        ),
        Ok(Image::Missing) => Check::not_ok(
            CHECK,
            Trouble::Account,
            format!(
                "the repository {} holds no {}",
                address.repository, address.reference
            ),
        )
        .next("push it, or name another image in `service.image`"),
        Ok(Image::NoRepository) => Check::not_ok(
            CHECK,
            Trouble::Account,
            format!("there is no repository {} in ECR", address.repository),
        )
        .next("make it and push the image, or name another in `service.image`"),
        Err(error) => Check::unknown(CHECK, &error),
    }
}

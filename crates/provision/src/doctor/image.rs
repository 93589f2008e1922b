//! The image that runs until the first deployment. What AWS can't be asked is said to be so. Must not ask another registry.

use super::{Check, Image, Survey, Trouble};
use crate::desired::Inputs;

/// An image's address, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    registry: &'a str,
    repository: &'a str,
    reference: &'a str,
}

/// Docker's own rule: what stands before the first slash is a registry if it has a dot or a port, or is `localhost`.
pub(super) fn address(image: &str) -> Address<'_> {
    let (registry, rest) = match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", image),
    };
    let (repository, reference) = match rest.split_once('@') {
        Some((repository, digest)) => (repository.split(':').next().unwrap_or_default(), digest),
        None => match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, tag),
            None => (rest, "latest"),
        },
    };
    Address {
        registry,
        repository,
        reference,
    }
}

pub(super) async fn check(survey: &dyn Survey, inputs: &Inputs<'_>) -> Check {
    const CHECK: &str = "image";
    let facts = inputs.facts;
    let Some(image) = &inputs.spec.service.image else {
        return Check::ok(
            CHECK,
            "the spec names none: a public one runs until the first deployment",
        );
    };
    let address = address(image);
    let own = format!(
        "{}.dkr.ecr.{}.{}",
        facts.account,
        facts.region,
        facts.dns_suffix()
    );
    if address.registry != own {
        let why = if address.registry == "docker.io" {
            format!("{image} is Docker Hub's, which limits anonymous pulls by address")
        } else if address.registry.contains(".dkr.ecr.") {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        for (image, registry, repository, reference) in [
            ("httpd", "docker.io", "httpd", "latest"),
            ("httpd:2.4", "docker.io", "httpd", "2.4"),
            ("me/app:1", "docker.io", "me/app", "1"),
            ("localhost:5000/app", "localhost:5000", "app", "latest"),
            (
                "111122223333.dkr.ecr.eu-central-1.amazonaws.com/base/app:1.2@sha256:ab",
                "111122223333.dkr.ecr.eu-central-1.amazonaws.com",
                "base/app",
                "sha256:ab",
            ),
        ] {
            let have = address(image);
            assert_eq!(
                (have.registry, have.repository, have.reference),
                (registry, repository, reference),
                "{image}"
            );
        }
    }
}

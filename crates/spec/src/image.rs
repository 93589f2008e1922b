//! An image's address, taken apart. Must not judge it: what a legal one is, `rules` knows.

use crate::rules::is_region;

/// Where an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageAddress<'a> {
    /// The registry's host; Docker Hub's where none is named.
    pub registry: &'a str,
    /// The repository's name in it.
    pub repository: &'a str,
    /// The digest, where there is one, else the tag; `latest` where there is neither.
    pub reference: &'a str,
}

impl<'a> ImageAddress<'a> {
    /// Docker's own rule: what stands before the first slash is a registry if it has a dot or a port, or is `localhost`.
    pub fn of(image: &'a str) -> Self {
        let (registry, rest) = match image.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            _ => ("docker.io", image),
        };
        let (repository, reference) = match rest.split_once('@') {
            Some((name, digest)) => (name.split(':').next().unwrap_or_default(), digest),
            None => rest.rsplit_once(':').unwrap_or((rest, "latest")),
        };
        Self {
            registry,
            repository,
            reference,
        }
    }

    /// Account and region, where the registry is a private one of ECR.
    pub fn ecr(&self) -> Option<(&'a str, &'a str)> {
        let host = self.registry.strip_suffix(".cn").unwrap_or(self.registry);
        let (account, region) = host
            .strip_suffix(".amazonaws.com")?
            .split_once(".dkr.ecr.")?;
        let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        (digits && is_region(region)).then_some((account, region))
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
            let have = ImageAddress::of(image);
            assert_eq!(
                (have.registry, have.repository, have.reference),
                (registry, repository, reference),
                "{image}"
            );
        }
    }

    #[test]
    fn a_registry_of_ecr_names_account_and_region() {
        for (host, want) in [
            (
                "111122223333.dkr.ecr.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            ("1111.dkr.ecr.eu-central-1.amazonaws.com", None),
            ("111122223333.dkr.ecr.eu-central-1.example.com", None),
            ("public.ecr.aws", None),
        ] {
            let image = format!("{host}/web:1");
            let region = ImageAddress::of(&image).ecr().map(|(_, region)| region);
            assert_eq!(region, want, "{host}");
        }
        assert_eq!(ImageAddress::of("web").ecr(), None);
    }
}

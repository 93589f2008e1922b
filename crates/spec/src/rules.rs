//! The rules for single values, each a function of the text alone. Sources: AWS.md §1.5 (sizes), §1.6 (images), §2 (names,
//! tags). Must not know where in the file a value stands.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use crate::AppName;

/// AWS allows 50 tags; ecspipe's own and those that AWS services add need room.
pub(crate) const MAX_TAGS: usize = 40;

/// A security group holds 60 rules by default, and two listeners share one.
pub(crate) const MAX_ALLOW: usize = 30;

/// A load balancer needs two zones; no region has more than six for everyone.
pub(crate) const ZONES: RangeInclusive<u8> = 2..=6;

/// The sizes of a VPC and of a subnet.
pub(crate) const SUBNET_PREFIX: RangeInclusive<u8> = 16..=28;

/// From the first shift of traffic to the last.
pub(crate) const SHIFT_MINUTES: u64 = 2880;

/// Ranges in which EC2 makes no VPC: this network, loopback, link-local, multicast and what lies behind it.
pub(crate) const RESERVED: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// A legal app name near `text`, for a hint.
pub(crate) fn app_name_like(text: &str) -> Option<String> {
    let lower: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<&str> = lower.split('-').filter(|word| !word.is_empty()).collect();
    let name = words.join("-");
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name = name[..name.len().min(AppName::MAX)].trim_end_matches('-');
    AppName::new(name).ok().map(|name| name.to_string())
}

/// `eu-central-1`, `us-gov-west-1`: letters, words, a number.
pub(crate) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, words @ .., number] = parts.as_slice() else {
        return false;
    };
    let letters = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let area = first.len() == 2 && letters(first);
    let digits = (1..=2).contains(&number.len()) && number.chars().all(|c| c.is_ascii_digit());
    area && digits
        && (1..=2).contains(&words.len())
        && words.iter().all(letters)
        && text.len() <= 20
}

/// The region of an availability zone's name.
pub(crate) fn region_of_zone(zone: &str) -> Option<&str> {
    zone.strip_suffix(|c: char| c.is_ascii_lowercase())
        .filter(|region| is_region(region))
}

/// The cpu units that Fargate offers, each with its sizes of memory in MiB.
pub(crate) fn fargate() -> impl Iterator<Item = (u32, Vec<u32>)> {
    let steps = |from: u32, to: u32, step: usize| (from..=to).step_by(step).collect::<Vec<_>>();
    [
        (256, vec![512, 1024, 2048]),
        (512, steps(1024, 4096, 1024)),
        (1024, steps(2048, 8192, 1024)),
        (2048, steps(4096, 16_384, 1024)),
        (4096, steps(8192, 30_720, 1024)),
        (8192, steps(16_384, 61_440, 4096)),
        (16_384, steps(32_768, 122_880, 8192)),
        (32_768, vec![61_440, 122_880, 249_856]),
    ]
    .into_iter()
}

/// `512, 1024, 2048` or `8192 to 30720 in steps of 1024`.
pub(crate) fn sizes_in_words(sizes: &[u32]) -> String {
    match sizes {
        [first, second, .., last] if sizes.len() > 4 => {
            format!("{first} to {last} in steps of {}", second - first)
        }
        _ => sizes
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// A name for an environment variable; wider than the shell's, because frameworks read `spring.profiles.active`.
pub(crate) fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(legal)
}

/// The matcher of a target group: codes from 200 to 499, alone, as a range, or several with commas.
pub(crate) fn is_status(text: &str) -> bool {
    let code = |text: &str| {
        let digits = text.len() == 3 && text.chars().all(|c| c.is_ascii_digit());
        digits
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .filter(|code| (200..=499).contains(code))
    };
    text.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => matches!((code(from), code(to)), (Some(from), Some(to)) if from <= to),
        None => code(part).is_some(),
    })
}

/// An image: `[REGISTRY/]NAME[:TAG][@sha256:DIGEST]`, at most 255 characters before the digest.
pub(crate) fn image(text: &str) -> Result<(), String> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let legal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hex.len() != 64 || !hex.chars().all(legal) {
            return Err("the digest is not `sha256:` and 64 hex digits in lower case".to_owned());
        }
    }
    if name.len() > 255 {
        return Err(format!(
            "the image's name has {} characters, at most 255 are allowed",
            name.len()
        ));
    }
    let (path, tag) = match name.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("the tag is not 1 to 128 letters, digits, `_`, `.` or `-`".to_owned());
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 1 && is_registry(parts[0]) {
        parts.remove(0);
    }
    if parts.iter().all(|part| is_repository_part(part)) {
        return Ok(());
    }
    Err(format!("`{}` is not an image", crate::tree::shorten(text)))
}

fn is_tag(tag: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=128).contains(&tag.len()) && tag.chars().all(legal) && !tag.starts_with(['.', '-'])
}

/// The first part of an image is a host if it looks like one.
fn is_registry(part: &str) -> bool {
    let (host, port) = part
        .split_once(':')
        .map_or((part, None), |(host, port)| (host, Some(port)));
    let looks = host.contains('.') || port.is_some() || host == "localhost";
    let label = |label: &str| {
        let inner = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    looks
        && host.split('.').all(label)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Lower-case letters and digits, with single separators (`.`, `_`, `__` or hyphens) between them.
fn is_repository_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let legal = part
        .chars()
        .all(|c| word(c) || matches!(c, '.' | '_' | '-'));
    let ends = part.starts_with(word) && part.ends_with(word);
    let separators = part
        .split(word)
        .all(|s| matches!(s, "" | "." | "_" | "__") || s.chars().all(|c| c == '-'));
    legal && ends && separators
}

/// A CodeCommit repository's name.
pub(crate) fn repository(name: &str) -> Result<(), &'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits =
        (1..=100).contains(&name.len()) && name.chars().all(legal) && !name.ends_with(".git");
    fits.then_some(())
        .ok_or("1 to 100 letters, digits, `.`, `_` and `-`, not ending in `.git`")
}

/// A branch's name: what git itself allows (git-check-ref-format), at most 256 characters.
pub(crate) fn branch(name: &str) -> Result<(), &'static str> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let legal = (1..=256).contains(&name.len())
        && !name.contains(wrong)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
        && name.split('/').all(part);
    legal
        .then_some(())
        .ok_or("a branch as git names it, such as `main` or `release/1.x`")
}

/// A file within the repository.
pub(crate) fn file(path: &str) -> Result<(), &'static str> {
    let named = !path.ends_with('/') && !matches!(path.rsplit('/').next(), Some("" | "."));
    (named && inside(path)).then_some(()).ok_or(INSIDE)
}

/// A folder within the repository.
pub(crate) fn folder(path: &str) -> Result<(), &'static str> {
    inside(path).then_some(()).ok_or(INSIDE)
}

const INSIDE: &str =
    "a path relative to the repository's root, with `/`, without `..`, not starting with `-`";

fn inside(path: &str) -> bool {
    (1..=255).contains(&path.len())
        && !path.starts_with(['/', '-', '~'])
        && !path.contains(|c: char| c.is_control() || c == '\\')
        && path.split('/').all(|part| part != "..")
}

/// A tag that every AWS service concerned takes: CodeBuild has the shortest limits, CodePipeline wants a value.
pub(crate) fn tag(key: &str, value: &str) -> Result<(), (String, Option<String>)> {
    let shown = crate::tree::shorten(key);
    let legal = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    let hint = "letters, digits, spaces and _ . : / = + - @".to_owned();
    if !(1..=127).contains(&key.chars().count()) {
        return Err((
            format!("the key `{shown}` is too long or empty"),
            Some("1 to 127 characters".to_owned()),
        ));
    }
    if !key.chars().all(legal) {
        return Err((
            format!("the key `{shown}` holds a character that tags can't have"),
            Some(hint),
        ));
    }
    let lower = key.to_lowercase();
    if lower.starts_with("aws:") || lower.starts_with("ecspipe:") || key == "Name" {
        let hint = "`aws:`, `ecspipe:` and `Name` are not for users".to_owned();
        return Err((format!("the key `{shown}` is taken"), Some(hint)));
    }
    if !(1..=255).contains(&value.chars().count()) {
        let message = format!("the value of `{shown}` is too long or empty");
        return Err((message, Some("1 to 255 characters".to_owned())));
    }
    if !value.chars().all(legal) {
        return Err((
            format!("the value of `{shown}` holds a character that tags can't have"),
            Some(hint),
        ));
    }
    Ok(())
}

/// An ARN in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) service: &'a str,
    /// Empty for what has no region.
    pub(crate) region: &'a str,
    /// Twelve digits; `aws` for what is AWS's own.
    pub(crate) account: &'a str,
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition) = (parts.next()?, parts.next()?);
        let (service, region) = (parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        let home =
            account == "aws" || account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        let legal = |c: char| c.is_ascii_graphic();
        let sound = arn == "arn"
            && matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
            && (region.is_empty() || is_region(region))
            && home
            && !resource.is_empty()
            && resource.chars().all(legal);
        sound.then_some(Self {
            service,
            region,
            account,
            resource,
        })
    }
}

/// An id of EC2's: a prefix, and 8 or 17 hex digits.
pub(crate) fn is_ec2_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.chars().all(is_lower_hex)
}

/// A KMS key's id: a UUID, or that of a multi-Region key.
pub(crate) fn is_key_id(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("mrk-") {
        return digits.len() == 32 && digits.chars().all(is_lower_hex);
    }
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || is_lower_hex(c))
}

fn is_lower_hex(c: char) -> bool {
    c.is_ascii_digit() || ('a'..='f').contains(&c)
}

/// The path of a role: `/`, or names between slashes.
pub(crate) fn role_path(path: &str) -> Result<(), &'static str> {
    const RULE: &str = "`/`, or names between slashes such as `/platform/apps/`, at most 512 characters, not under `/aws-service-role/`";
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let names = path.strip_prefix('/').and_then(|rest| {
        if rest.is_empty() {
            Some(Vec::new())
        } else {
            rest.strip_suffix('/').map(|rest| rest.split('/').collect())
        }
    });
    let sound = names.is_some_and(|names: Vec<&str>| {
        names
            .iter()
            .all(|name| !name.is_empty() && name.chars().all(legal))
    });
    // That path is AWS's own, for roles that it makes for itself.
    let taken = path.starts_with("/aws-service-role/");
    (sound && path.len() <= 512 && !taken)
        .then_some(())
        .ok_or(RULE)
}

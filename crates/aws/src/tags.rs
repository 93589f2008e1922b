//! Tags of each service's own type, from and to plain maps. Must not know which tags mean what.

use std::collections::BTreeMap;

/// What has to be done to turn one set of tags into another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Retag {
    /// To be set.
    pub(crate) add: BTreeMap<String, String>,
    /// To be taken away.
    pub(crate) remove: Vec<String>,
}

impl Retag {
    pub(crate) fn new(have: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> Self {
        let differs = |(key, value): &(&String, &String)| have.get(*key) != Some(*value);
        let add = want
            .iter()
            .filter(differs)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let gone = |key: &&String| !want.contains_key(*key) && !key.starts_with("aws:");
        Self {
            add,
            remove: have.keys().filter(gone).cloned().collect(),
        }
    }
}

/// A plain map from pairs of optional texts, AWS's own tags left out.
pub(crate) fn map<'a>(
    pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> BTreeMap<String, String> {
    pairs
        .filter_map(|(key, value)| Some((key?.to_owned(), value.unwrap_or_default().to_owned())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .collect()
}

/// The tags of one service's type from a plain map. Two forms: builders that can't fail, and builders that refuse a missing
/// key, which is never missing here.
macro_rules! list {
    (try $tag:path, $tags:expr) => {{
        use $tag as Tag;
        $tags
            .iter()
            .filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok())
            .collect::<Vec<_>>()
    }};
    ($tag:path, $tags:expr) => {{
        use $tag as Tag;
        $tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect::<Vec<_>>()
    }};
}
pub(crate) use list;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_set_and_aws_own_tags_stay() {
        let have = tags(&[("a", "1"), ("b", "2"), ("c", "3"), ("aws:x", "y")]);
        let want = tags(&[("a", "1"), ("b", "9"), ("d", "4")]);
        let retag = Retag::new(&have, &want);
        assert_eq!(retag.add, tags(&[("b", "9"), ("d", "4")]));
        assert_eq!(retag.remove, ["c"]);
    }
}

//! What the query services (EC2, Elastic Load Balancing) share: refusing what isn't honoured, paging, wildcards, tags.
//! Must not know any service's state.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::{Call, Fault, Reply};

/// What an operation answers.
pub(crate) type Answer = Result<Reply, Fault>;

/// Refuses a call with a parameter that the sandbox would ignore: an answer that looks right but isn't is worse than none.
pub(crate) fn only(call: &Call, known: &[&str]) -> Result<(), Fault> {
    let given = call
        .input
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys);
    match given
        .into_iter()
        .find(|name| !known.contains(&name.as_str()) && name.as_str() != "DryRun")
    {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "the ecspipe sandbox does not implement the parameter {name} of {}:{}",
                call.service, call.operation
            );
            Err(Fault::new("NotImplemented", message).status(501))
        }
    }
}

/// One page of `items`: those from `token` on, at most `size`, and the token of the next page. `None`: a bad token.
pub(crate) fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    size: usize,
) -> Option<(Vec<T>, Option<String>)> {
    let start = match token {
        None => 0,
        Some(token) => offset(token).filter(|start| *start <= items.len())?,
    };
    let next =
        (items.len() > start + size).then(|| STANDARD.encode(format!("from {}", start + size)));
    Some((items.into_iter().skip(start).take(size).collect(), next))
}

fn offset(token: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    text.strip_prefix("from ")?.parse().ok()
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters and `?` for one.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // reach[i]: the pattern read so far matches the first i characters.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for symbol in pattern {
        let mut next = vec![false; text.len() + 1];
        if symbol == '*' {
            let mut open = false;
            for (index, here) in reach.iter().enumerate() {
                open |= here;
                next[index] = open;
            }
        } else {
            for (index, letter) in text.iter().enumerate() {
                next[index + 1] = reach[index] && (symbol == '?' || symbol == *letter);
            }
        }
        reach = next;
    }
    reach[text.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, want: bool| {
            assert_eq!(wildcard(pattern, text), want, "{pattern} {text}")
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("", "", true);
        check("*", "", true);
        check("a*c", "abbc", true);
        check("a*c", "abb", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*b*", "abc", true);
    }

    #[test]
    fn pages_join_to_the_whole() {
        let items: Vec<u32> = (0..7).collect();
        let (first, token) = page(items.clone(), None, 3).unwrap();
        let (second, token) = page(items.clone(), token.as_deref(), 3).unwrap();
        let (third, end) = page(items.clone(), token.as_deref(), 3).unwrap();
        assert_eq!([first, second, third].concat(), items);
        assert_eq!(end, None);
        assert_eq!(page(items, Some("rubbish"), 3), None);
    }
}

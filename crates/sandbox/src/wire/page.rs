//! Cutting a listing into pages. Tokens name the last item given, so that a page stays right when items come and go
//! between two calls. Must not know any operation.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// The page after `token` of at most `limit` items; items must come sorted by their key. `None`: no such token.
pub fn page<T>(
    items: impl IntoIterator<Item = (String, T)>,
    token: Option<&str>,
    limit: usize,
) -> Option<Page<T>> {
    let after = match token.filter(|token| !token.is_empty()) {
        Some(token) => Some(String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?),
        None => None,
    };
    let mut rest = items
        .into_iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .peekable();
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let mut last = String::new();
    while page.items.len() < limit.max(1) {
        let Some((key, item)) = rest.next() else {
            return Some(page);
        };
        last = key;
        page.items.push(item);
    }
    page.next = rest.peek().map(|_| URL_SAFE_NO_PAD.encode(last));
    Some(page)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cut(keys: &[&str], token: Option<&str>, limit: usize) -> Option<Page<String>> {
        page(
            keys.iter()
                .map(|key| ((*key).to_owned(), (*key).to_owned())),
            token,
            limit,
        )
    }

    #[test]
    fn pages_join_to_the_whole() {
        let first = cut(&["a", "b", "c"], None, 2).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = cut(&["a", "b", "c"], first.next.as_deref(), 2).unwrap();
        assert_eq!((second.items, second.next), (vec!["c".to_owned()], None));
    }

    #[test]
    fn a_full_last_page_has_no_token() {
        assert_eq!(cut(&["a", "b"], None, 2).unwrap().next, None);
        assert_eq!(
            cut(&[], None, 2).unwrap(),
            Page {
                items: vec![],
                next: None
            }
        );
    }

    #[test]
    fn a_page_stays_right_when_an_item_goes() {
        let first = cut(&["a", "b", "c"], None, 1).unwrap();
        assert_eq!(
            cut(&["b", "c"], first.next.as_deref(), 1).unwrap().items,
            ["b"]
        );
    }

    #[test]
    fn made_up_tokens_are_refused() {
        assert_eq!(cut(&["a"], Some("!"), 1), None);
    }
}

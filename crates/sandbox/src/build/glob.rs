//! Path patterns as Docker and CodeBuild have them: `*` within a part of a path, `**` across parts, `?`. Must not look at files.

/// Whether the text is a pattern rather than a path.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether the pattern means this very path.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

/// Where the pattern means a folder above `path`: what is below that folder.
pub(super) fn inside<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    slashes
        .filter(|at| matches(pattern, &path[..*at]))
        .map(|at| &path[at + 1..])
        .next()
}

/// Whether the pattern means the path or a folder above it.
pub(super) fn covers(pattern: &str, path: &str) -> bool {
    matches(pattern, path) || inside(pattern, path).is_some()
}

fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) if parts(rest, path) => true,
        (Some((&"**", _)), Some((_, tail))) => parts(pattern, tail),
        (Some((first, rest)), Some((name, tail))) => {
            let (first, name): (Vec<char>, Vec<char>) =
                (first.chars().collect(), name.chars().collect());
            part(&first, &name) && parts(rest, tail)
        }
        _ => false,
    }
}

fn part(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if part(rest, name) => true,
        (Some(('*', _)), Some((_, tail))) => part(pattern, tail),
        (Some(('?', rest)), Some((_, tail))) => part(rest, tail),
        (Some((c, rest)), Some((d, tail))) => c == d && part(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, inside, matches};

    #[test]
    fn patterns() {
        let table = [
            ("a.txt", "a.txt", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "b/a.txt", false),
            ("**/*.txt", "b/a.txt", true),
            ("**/*.txt", "a.txt", true),
            ("**/*", "a/b/c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("b/*", "b/a", true),
            ("b/*", "b/a/c", false),
        ];
        for (pattern, path, want) in table {
            assert_eq!(matches(pattern, path), want, "{pattern} {path}");
        }
        assert_eq!(inside("src", "src/css/a"), Some("css/a"));
        assert_eq!(inside("*", "src/css/a"), Some("css/a"));
        assert!(covers("node_modules", "node_modules/x/y"));
        assert!(!covers("node", "node_modules/x"));
    }
}

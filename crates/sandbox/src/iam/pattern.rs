//! Patterns of policies: `*`, `?`, policy variables, and ARNs part by part. Must not know what is matched.

use super::evaluate::Context;

/// Whether `text` matches a pattern with `*` (any run) and `?` (any one character).
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    glob(&tokens(pattern), text)
}

/// The same with policy variables replaced; a variable that the request has no value for matches nothing.
pub(super) fn matches_with(pattern: &str, text: &str, variables: Option<&Context>) -> bool {
    expand(pattern, variables).is_some_and(|tokens| glob(&tokens, text))
}

/// Whether an ARN matches a pattern, part by part: a `*` in one of the first five parts doesn't reach over a colon, and
/// missing parts stand for anything (IAM user guide, "Resource"). `*` alone matches everything.
pub(super) fn arn_matches(pattern: &str, arn: &str, variables: Option<&Context>) -> bool {
    let Some(pattern) = expand(pattern, variables) else {
        return false;
    };
    if pattern == [Token::Any] {
        return true;
    }
    let mut wanted = pattern.splitn(6, |token| *token == Token::Char(':'));
    let mut parts = arn.splitn(6, ':');
    (0..6).all(|_| match (wanted.next(), parts.next()) {
        (Some(wanted), Some(part)) => glob(wanted, part),
        (None, _) => true,
        (Some(_), None) => false,
    })
}

/// The value of a pattern without wildcards, its variables replaced.
pub(super) fn literal(pattern: &str, variables: Option<&Context>) -> Option<String> {
    let Some(context) = variables else {
        return Some(pattern.to_owned());
    };
    let mut out = String::new();
    pieces(pattern, context, |piece| match piece {
        Piece::Written(c) | Piece::Literal(c) => out.push(c),
    })?;
    Some(out)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

/// One character of a pattern with its variables replaced.
enum Piece {
    /// It stands in the pattern, where `*` and `?` are wildcards.
    Written(char),
    /// It comes from a variable and means itself.
    Literal(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    pattern.chars().map(token).collect()
}

fn token(c: char) -> Token {
    match c {
        '*' => Token::Any,
        '?' => Token::One,
        other => Token::Char(other),
    }
}

fn expand(pattern: &str, variables: Option<&Context>) -> Option<Vec<Token>> {
    let Some(context) = variables else {
        return Some(tokens(pattern));
    };
    let mut out = Vec::new();
    pieces(pattern, context, |piece| {
        out.push(match piece {
            Piece::Written(c) => token(c),
            Piece::Literal(c) => Token::Char(c),
        });
    })?;
    Some(out)
}

/// Goes through a pattern; `None` where a variable has no value, or several.
fn pieces(pattern: &str, context: &Context, mut take: impl FnMut(Piece)) -> Option<()> {
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        before.chars().for_each(|c| take(Piece::Written(c)));
        let (name, tail) = after.split_once('}')?;
        value_of(name, context)?
            .chars()
            .for_each(|c| take(Piece::Literal(c)));
        rest = tail;
    }
    rest.chars().for_each(|c| take(Piece::Written(c)));
    Some(())
}

/// `key`, `key, 'default'`, or one of the three characters that can't be written otherwise.
fn value_of(name: &str, context: &Context) -> Option<String> {
    if matches!(name, "*" | "?" | "$") {
        return Some(name.to_owned());
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (name.trim(), None),
    };
    match context.get(key) {
        Some([one]) => Some(one.clone()),
        Some(_) => None,
        None => default.map(ToOwned::to_owned),
    }
}

fn glob(pattern: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(token) if *token == Token::One || *token == Token::Char(text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                // The last `*` takes one character more.
                Some((star, start)) => {
                    retry = Some((star, start + 1));
                    p = star + 1;
                    t = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-b-*", "a-b-c-b-", true),
            ("build*", "buildcache-1", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn arns_match_part_by_part() {
        let bucket = "arn:aws:s3:::web";
        let role = "arn:aws:iam::111122223333:role/web";
        let stream = "arn:aws:logs:eu-central-1:111122223333:log-group:/ecs/web:log-stream:a";
        for (pattern, arn, want) in [
            ("*", bucket, true),
            ("arn:aws:s3:::*", bucket, true),
            ("arn:aws:s3:::web", bucket, true),
            ("arn:aws:s3:::web/*", bucket, false),
            ("arn:aws:s3", bucket, true),
            ("arn:aws:iam::*:role/w?b", role, true),
            ("arn:aws:iam:*:role/web", role, false),
            ("arn:aws:*:*:role/web", role, false),
            ("arn:aws:logs:*:*:log-group:/ecs/web:*", stream, true),
            ("arn:aws:logs:*:*:log-group:/ecs/web", stream, false),
            ("arn:aws:s3:::web", "*", false),
        ] {
            assert_eq!(arn_matches(pattern, arn, None), want, "{pattern} {arn}");
        }
    }

    #[test]
    fn variables_stand_for_values_of_the_request() {
        let context = Context::from([
            ("aws:PrincipalTag/team", "w*b"),
            ("aws:RequestedRegion", "eu-central-1"),
        ]);
        let with = Some(&context);
        for (pattern, text, want) in [
            ("${aws:PrincipalTag/team}-x", "w*b-x", true),
            // A wildcard in a value means itself.
            ("${aws:PrincipalTag/team}-x", "web-x", false),
            ("${aws:requestedregion}*", "eu-central-1a", true),
            ("${aws:PrincipalTag/none}", "", false),
            ("${aws:PrincipalTag/none, 'b'}", "b", true),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${unclosed", "${unclosed", false),
        ] {
            assert_eq!(matches_with(pattern, text, with), want, "{pattern} {text}");
        }
        assert!(matches_with("${a}", "${a}", None));
    }
}

//! What differs between two values, for a person who says yes to it: nothing that differs is cut away. Must not print.

use serde_json::{Map, Value};

/// How a change of a value is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Both sides, whole.
    Short { have: String, want: String },
    /// Only what differs.
    Long(Vec<Line>),
}

/// A line of what differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Where the lines after it are.
    At(String),
    /// What is there and goes.
    Goes(String),
    /// What comes.
    Comes(String),
    /// Something about the lines after it.
    Note(String),
    /// A part that is short on both sides.
    Short {
        path: String,
        have: String,
        want: String,
    },
}

/// How long a value may be, in characters, to be shown whole on either side of an arrow.
const MOST: usize = 100;

/// The characters that are shown before and after what differs in a long text: enough to find the place.
const AROUND: usize = 24;

/// How `field` changes.
pub(super) fn difference(field: &str, have: Option<&Value>, want: Option<&Value>) -> Difference {
    let (one, other) = (text(have), text(want));
    if fits(&one) && fits(&other) {
        return Difference::Short {
            have: one,
            want: other,
        };
    }
    let field = field.rsplit('.').next().unwrap_or(field);
    let mut lines = Vec::new();
    between(have, want, field, "", &mut lines);
    Difference::Long(lines)
}

/// A value on one line, cut where it is long: the whole of it is in `--format json`.
pub(super) fn brief(value: Option<&Value>) -> String {
    let text = text(value);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn fits(text: &str) -> bool {
    text.chars().count() <= MOST
}

/// A value on one line, whole. A target group goes by its name.
fn text(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(none)".to_owned(),
        Some(Value::String(text)) => text.replace('\n', "⏎"),
        Some(other) => shares(other).unwrap_or_else(|| other.to_string()),
    };
    with_names(&text)
}

/// What differs at `path` within the value of `field`.
fn between(
    have: Option<&Value>,
    want: Option<&Value>,
    field: &str,
    path: &str,
    lines: &mut Vec<Line>,
) {
    if let (Some(have), Some(want)) = (have.and_then(parsed), want.and_then(parsed))
        && have != want
    {
        return between(Some(&have), Some(&want), field, path, lines);
    }
    match (have, want) {
        (Some(Value::Object(_)) | None, Some(Value::Object(_)) | None) => {
            objects(have, want, path, lines);
        }
        (Some(Value::Array(_)), _) | (_, Some(Value::Array(_))) => {
            lists(&items(have), &items(want), field, path, lines);
        }
        (Some(Value::String(have)), Some(Value::String(want))) => {
            at(path, lines);
            texts(&with_names(have), &with_names(want), lines);
        }
        _ => {
            at(path, lines);
            lines.extend(rows(have).map(Line::Goes));
            lines.extend(rows(want).map(Line::Comes));
        }
    }
}

fn at(path: &str, lines: &mut Vec<Line>) {
    if !path.is_empty() {
        lines.push(Line::At(path.to_owned()));
    }
}

/// The lines of a value that has nothing beside it.
fn rows(value: Option<&Value>) -> impl Iterator<Item = String> {
    let rows: Vec<String> = match value {
        None => Vec::new(),
        Some(Value::String(text)) => with_names(text).lines().map(ToOwned::to_owned).collect(),
        some => vec![text(some)],
    };
    rows.into_iter()
}

/// The document that a text holds, such as a policy.
fn parsed(value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let parsed: Value = serde_json::from_str(text).ok()?;
    (parsed.is_object() || parsed.is_array()).then_some(parsed)
}

fn objects(have: Option<&Value>, want: Option<&Value>, path: &str, lines: &mut Vec<Line>) {
    let none = Map::new();
    let map = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (have, want) = (map(have).unwrap_or(none.clone()), map(want).unwrap_or(none));
    let mut keys: Vec<&String> = have.keys().chain(want.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (have, want) = (have.get(key), want.get(key));
        if have == want {
            continue;
        }
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let (one, other) = (text(have), text(want));
        if fits(&one) && fits(&other) {
            lines.push(Line::Short {
                path,
                have: one,
                want: other,
            });
        } else {
            between(have, want, key, &path, lines);
        }
    }
}

/// A value as a list: AWS writes a list of one as what is in it.
fn items(value: Option<&Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(other) => vec![other.clone()],
    }
}

/// The items that go and those that come. Of one that is there under the same name before and after, what differs.
fn lists(have: &[Value], want: &[Value], field: &str, path: &str, lines: &mut Vec<Line>) {
    let gone = without(have, want);
    let mut come = without(want, have);
    if gone.is_empty() && come.is_empty() {
        at(path, lines);
        lines.push(Line::Note("the same in another order:".to_owned()));
        lines.extend(want.iter().map(|item| Line::Comes(told(item, field))));
        return;
    }
    let mut goes = Vec::new();
    let mut inner = Vec::new();
    for item in gone {
        let same = |other: &&Value| name(item).is_some() && name(item) == name(other);
        match come.iter().position(same) {
            Some(index) => {
                let path = format!("{path}[{}]", name(item).unwrap_or_default());
                between(
                    Some(item),
                    Some(come.remove(index)),
                    field,
                    &path,
                    &mut inner,
                );
            }
            None => goes.push(Line::Goes(told(item, field))),
        }
    }
    if !goes.is_empty() || !come.is_empty() {
        at(path, lines);
    }
    lines.extend(goes);
    lines.extend(come.iter().map(|item| Line::Comes(told(item, field))));
    lines.extend(inner);
}

/// What is in `items` and not in `others`, as often as it is more often there.
fn without<'a>(items: &'a [Value], others: &[Value]) -> Vec<&'a Value> {
    let mut others: Vec<&Value> = others.iter().collect();
    let mut left = Vec::new();
    for item in items {
        match others.iter().position(|other| *other == item) {
            Some(index) => {
                others.swap_remove(index);
            }
            None => left.push(item),
        }
    }
    left
}

/// What an item goes by in its list.
fn name(item: &Value) -> Option<&str> {
    ["Sid", "name", "id"]
        .iter()
        .find_map(|key| item.get(key)?.as_str())
}

/// An item, whole.
fn told(item: &Value, field: &str) -> String {
    rule(item, field).unwrap_or_else(|| text(Some(item)))
}

/// A security group's rule as one says it: `tcp 9000 from 0.0.0.0/0`.
fn rule(item: &Value, field: &str) -> Option<String> {
    let side = match field {
        "ingress" => "from",
        "egress" => "to",
        _ => return None,
    };
    let item = item.as_object().filter(|item| item.len() == 4)?;
    let peer = item.get("peer")?.as_str()?;
    let (from, to) = (item.get("from_port")?, item.get("to_port")?);
    let what = match item.get("protocol")?.as_str()? {
        "-1" => "everything".to_owned(),
        protocol if from == to => format!("{protocol} {from}"),
        protocol => format!("{protocol} {from}-{to}"),
    };
    Some(format!("{what} {side} {peer}"))
}

fn texts(have: &str, want: &str, lines: &mut Vec<Line>) {
    let many = have.contains('\n') || want.contains('\n');
    if many && !have.lines().eq(want.lines()) {
        return text_lines(have, want, lines);
    }
    let [have, want] = [have, want].map(|text| text.replace('\n', "⏎").chars().collect::<Vec<_>>());
    let (before, after) = common(&have, &want);
    let part = |text: &[char]| {
        let start = before.saturating_sub(AROUND);
        let end = (text.len() - after + AROUND).min(text.len());
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let middle: String = text[start..end].iter().collect();
        format!("{}{middle}{}", cut(start > 0), cut(end < text.len()))
    };
    lines.push(Line::Goes(part(&have)));
    lines.push(Line::Comes(part(&want)));
}

fn text_lines(have: &str, want: &str, lines: &mut Vec<Line>) {
    let [have, want] = [have, want].map(|text| text.lines().collect::<Vec<_>>());
    let (before, after) = common(&have, &want);
    lines.push(Line::Note(format!("from line {}:", before + 1)));
    let part = |text: &[&str]| -> Vec<String> {
        let part = text[before..text.len() - after].iter();
        part.map(|line| (*line).to_owned()).collect()
    };
    lines.extend(part(&have).into_iter().map(Line::Goes));
    lines.extend(part(&want).into_iter().map(Line::Comes));
}

/// How much both have in common at the start, and at the end of what is left.
fn common<T: PartialEq>(one: &[T], other: &[T]) -> (usize, usize) {
    let same = |(one, other): &(&T, &T)| one == other;
    let before = one.iter().zip(other).take_while(same).count();
    let (one, other) = (&one[before..], &other[before..]);
    let after = one
        .iter()
        .rev()
        .zip(other.iter().rev())
        .take_while(same)
        .count();
    (before, after)
}

/// Where a listener forwards to, if `value` is that: `90 to …, 10 to …`, or the one that gets everything.
fn shares(value: &Value) -> Option<String> {
    let forwards = value.as_array().filter(|forwards| !forwards.is_empty())?;
    let share = |forward: &Value| {
        let group = forward.get("target_group")?.as_str()?;
        let weight = forward.get("weight")?.as_u64()?;
        Some((weight, group.to_owned()))
    };
    let mut shares: Vec<(u64, String)> = forwards.iter().map(share).collect::<Option<_>>()?;
    if let [(_, group)] = shares.as_slice() {
        return Some(group.clone());
    }
    shares.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let texts: Vec<String> = shares
        .iter()
        .map(|(weight, group)| format!("{weight} to {group}"))
        .collect();
    Some(texts.join(", "))
}

/// `text` with the names of target groups in the place of their ARNs, which one region of one account has once.
fn with_names(text: &str) -> String {
    const KIND: &str = ":targetgroup/";
    let mut named = String::new();
    let mut rest = text;
    while let Some((before, start, after)) = arn_before(rest, KIND) {
        let name = after.split('/').next().unwrap_or_default();
        let id = after[name.len()..].trim_start_matches('/');
        let end = id
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(id.len());
        named.push_str(before);
        if name.is_empty() || end == 0 {
            named.push_str(start);
            rest = after;
            continue;
        }
        named.push_str(name);
        rest = &id[end..];
    }
    named + rest
}

/// What stands before the first ARN of Elastic Load Balancing's `kind`, that ARN up to and with its kind, and what follows.
fn arn_before<'a>(text: &'a str, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let at = text.find(kind)?;
    let end = at + kind.len();
    let start = text[..at].rfind("arn:")?;
    text[start..at]
        .contains(":elasticloadbalancing:")
        .then(|| (&text[..start], &text[start..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GROUP: &str =
        "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web-blue/0a1b";

    #[test]
    fn target_groups_go_by_their_names() {
        let check =
            |value: serde_json::Value, expected: &str| assert_eq!(brief(Some(&value)), expected);
        check(json!(GROUP), "web-blue");
        let forward = |colour: &str, weight: u32| json!({"target_group": GROUP.replace("blue", colour), "weight": weight});
        check(json!([forward("blue", 1)]), "web-blue");
        check(
            json!([forward("blue", 10), forward("green", 90)]),
            "90 to web-green, 10 to web-blue",
        );
        check(json!([]), "[]");
        check(json!([{"weight": 1}]), r#"[{"weight":1}]"#);
        check(
            json!("arn:aws:iam::111122223333:role/web"),
            "arn:aws:iam::111122223333:role/web",
        );
        check(
            json!("arn:aws:elasticloadbalancing:x:y:targetgroup/"),
            "arn:aws:elasticloadbalancing:x:y:targetgroup/",
        );
        check(json!(":targetgroup/web/1"), ":targetgroup/web/1");
        check(json!("a\nb"), "a⏎b");
    }

    fn told(field: &str, have: Option<Value>, want: Option<Value>) -> Vec<String> {
        let line = |line: Line| match line {
            Line::At(path) => format!("{path}:"),
            Line::Goes(text) => format!("- {text}"),
            Line::Comes(text) => format!("+ {text}"),
            Line::Note(text) => format!("# {text}"),
            Line::Short { path, have, want } => format!("{path}: {have} → {want}"),
        };
        match difference(field, have.as_ref(), want.as_ref()) {
            Difference::Short { have, want } => vec![format!("{have} → {want}")],
            Difference::Long(lines) => lines.into_iter().map(line).collect(),
        }
    }

    fn tcp(port: u16, peer: &str) -> Value {
        json!({"protocol": "tcp", "from_port": port, "to_port": port, "peer": peer})
    }

    #[test]
    fn what_is_short_is_told_whole() {
        let check = |have: Option<Value>, want: Option<Value>, expected: &str| {
            assert_eq!(told("port", have, want), [expected]);
        };
        check(Some(json!(81)), Some(json!(82)), "81 → 82");
        check(None, Some(json!("a")), "(none) → a");
        check(Some(json!(["a"])), Some(json!([])), "[\"a\"] → []");
        let longest = "x".repeat(MOST);
        check(Some(json!(longest)), None, &format!("{longest} → (none)"));
    }

    #[test]
    fn of_lists_the_items_that_go_and_come() {
        let check = |field: &str, have: Value, want: Value, expected: &[&str]| {
            assert_eq!(told(field, Some(have), Some(want)), expected);
        };
        let (http, test) = (tcp(80, "0.0.0.0/0"), tcp(8080, "0.0.0.0/0"));
        let open = json!([http, test, tcp(9000, "10.0.0.0/8")]);
        let same = json!([http, test]);
        check(
            "ingress",
            open.clone(),
            same.clone(),
            &["- tcp 9000 from 10.0.0.0/8"],
        );
        check("egress", same.clone(), open, &["+ tcp 9000 to 10.0.0.0/8"]);
        let all = json!({"protocol": "-1", "from_port": null, "to_port": null, "peer": "sg-1"});
        let range = json!({"protocol": "udp", "from_port": 1, "to_port": 9, "peer": "sg-1"});
        check(
            "main.ingress",
            json!([http, http, all]),
            json!([http, range]),
            &[
                "- tcp 80 from 0.0.0.0/0",
                "- everything from sg-1",
                "+ udp 1-9 from sg-1",
            ],
        );
        check(
            "ingress",
            json!([test, http]),
            same,
            &[
                "# the same in another order:",
                "+ tcp 80 from 0.0.0.0/0",
                "+ tcp 8080 from 0.0.0.0/0",
            ],
        );
        let (long, other) = ("x".repeat(120), "y".repeat(120));
        check(
            "Action",
            json!(long),
            json!([long, other]),
            &[&format!("+ {other}")],
        );
        // Neither the 101st nor any later character of an item is left out.
        let deep = |last: &str| json!([{"Effect": "Allow", "Resource": format!("{long}{last}")}]);
        let item = |sign: &str, last: &str| {
            format!("{sign} {{\"Effect\":\"Allow\",\"Resource\":\"{long}{last}\"}}")
        };
        check(
            "Statement",
            deep("a"),
            deep("b"),
            &[&item("-", "a"), &item("+", "b")],
        );
    }

    #[test]
    fn of_what_has_a_name_only_what_differs() {
        let statement = |sid: &str, action: &str| json!({"Sid": sid, "Action": action, "Resource": "r".repeat(100)});
        let have = json!([statement("Read", "s3:Get"), statement("Gone", "s3:Put")]);
        let want = json!([statement("Read", "s3:*"), statement("Come", "s3:Put")]);
        let item = |sid: &str| statement(sid, "s3:Put").to_string();
        assert_eq!(
            told("Statement", Some(have), Some(want)),
            [
                format!("- {}", item("Gone")),
                format!("+ {}", item("Come")),
                "[Read].Action: s3:Get → s3:*".to_owned()
            ]
        );
    }

    #[test]
    fn of_objects_the_keys_that_differ() {
        let long = "x".repeat(120);
        let have = json!({"same": long, "a": {"b": 1, "c": [long, "d"]}, "gone": true});
        let want = json!({"same": long, "a": {"b": 2, "c": [long, "e"], "new": {}}});
        let expected = [
            "a.b: 1 → 2",
            "a.c:",
            "- d",
            "+ e",
            "a.new: (none) → {}",
            "gone: true → (none)",
        ];
        assert_eq!(told("x", Some(have.clone()), Some(want.clone())), expected);
        // A document in a text, as policies are.
        let texts = [have, want].map(|value| Some(json!(value.to_string())));
        let [have, want] = texts;
        assert_eq!(told("x", have, want), expected);
    }

    #[test]
    fn what_is_only_on_one_side_is_told_whole() {
        let long = "x".repeat(120);
        let check = |value: Value, comes: &[&str], goes: &[&str]| {
            assert_eq!(told("ingress", None, Some(value.clone())), comes);
            assert_eq!(told("ingress", Some(value), None), goes);
        };
        check(
            json!(long),
            &[&format!("+ {long}")],
            &[&format!("- {long}")],
        );
        check(
            json!([tcp(1, "a"), long]),
            &["+ tcp 1 from a", &format!("+ {long}")],
            &["- tcp 1 from a", &format!("- {long}")],
        );
        check(
            json!({"a": long, "b": 1}),
            &["a:", &format!("+ {long}"), "b: (none) → 1"],
            &["a:", &format!("- {long}"), "b: 1 → (none)"],
        );
    }

    #[test]
    fn of_long_texts_what_is_around_the_difference() {
        let check = |have: &str, want: &str, expected: &[&str]| {
            assert_eq!(told("x", Some(json!(have)), Some(json!(want))), expected);
        };
        let (x, cut) = ("x".repeat(120), "x".repeat(AROUND));
        check(
            &format!("{x}ä{x}"),
            &format!("{x}ö{x}"),
            &[&format!("- …{cut}ä{cut}…"), &format!("+ …{cut}ö{cut}…")],
        );
        check(
            &format!("{x}x"),
            &x,
            &[&format!("- …{cut}x"), &format!("+ …{cut}")],
        );
        check(
            &format!("a{x}"),
            &x,
            &[&format!("- a{cut}…"), &format!("+ {cut}…")],
        );
        let lines = |middle: &str| format!("{x}\n{middle}end\n");
        check(
            &lines("a\nb\n"),
            &lines("c\n"),
            &["# from line 2:", "- a", "- b", "+ c"],
        );
        check(
            &format!("{x}\n"),
            &x,
            &[&format!("- …{cut}⏎"), &format!("+ …{cut}")],
        );
    }
}

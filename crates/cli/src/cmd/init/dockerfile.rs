//! The ports that a Dockerfile exposes. Must not build, or read another file.

use std::collections::BTreeMap;

/// The TCP ports that the image of `text` exposes by number; ports that only the build knows are left out. Those of the last
/// `EXPOSE` come first, each instruction's in its own order: what is said last is meant, and a plain port is named before a
/// TLS one. A later stage has those of the stage that it starts from.
pub(super) fn ports(text: &str) -> Vec<u16> {
    let mut file = File::default();
    for instruction in instructions(text) {
        let (word, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((&instruction, ""));
        file.read(&word.to_ascii_uppercase(), rest.trim());
    }
    file.stage.ports
}

#[derive(Debug, Clone, Default)]
struct Stage {
    ports: Vec<u16>,
    variables: BTreeMap<String, String>,
}

#[derive(Default)]
struct File {
    stage: Stage,
    /// The name of the stage that is read.
    name: Option<String>,
    stages: BTreeMap<String, Stage>,
    /// What `ARG` says before the first `FROM`.
    global: BTreeMap<String, String>,
    begun: bool,
}

impl File {
    fn read(&mut self, word: &str, rest: &str) {
        match word {
            "FROM" => self.begin(rest),
            "ARG" => self.argument(rest),
            "ENV" => self.environment(rest),
            "EXPOSE" => self.expose(rest),
            _ => {}
        }
    }

    fn begin(&mut self, rest: &str) {
        if let Some(name) = self.name.take() {
            self.stages.insert(name, self.stage.clone());
        }
        let words: Vec<&str> = rest
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        self.stage = words
            .first()
            .and_then(|base| self.stages.get(&base.to_lowercase()))
            .cloned()
            .unwrap_or_default();
        self.begun = true;
        if let [_, word, name, ..] = words.as_slice()
            && word.eq_ignore_ascii_case("as")
        {
            self.name = Some(name.to_lowercase());
        }
    }

    fn argument(&mut self, rest: &str) {
        for word in rest.split_whitespace() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(unquoted(value).to_owned())),
                None => (word, self.global.get(word).cloned()),
            };
            let Some(value) = value else { continue };
            let variables = if self.begun {
                &mut self.stage.variables
            } else {
                &mut self.global
            };
            variables.insert(name.to_owned(), value);
        }
    }

    fn environment(&mut self, rest: &str) {
        let first = rest.split_whitespace().next().unwrap_or_default();
        if !first.contains('=') {
            let value = rest[first.len()..].trim();
            self.stage
                .variables
                .insert(first.to_owned(), unquoted(value).to_owned());
            return;
        }
        for (name, value) in rest
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
        {
            self.stage
                .variables
                .insert(name.to_owned(), unquoted(value).to_owned());
        }
    }

    fn expose(&mut self, rest: &str) {
        let mut ports = Vec::new();
        for word in rest.split_whitespace() {
            let Some(word) = self.value(unquoted(word)) else {
                continue;
            };
            let (number, protocol) = word.split_once('/').unwrap_or((&word, "tcp"));
            if let Ok(port @ 1..) = number.parse::<u16>()
                && protocol.eq_ignore_ascii_case("tcp")
                && !ports.contains(&port)
            {
                ports.push(port);
            }
        }
        let before = std::mem::take(&mut self.stage.ports);
        let before: Vec<u16> = before
            .into_iter()
            .filter(|port| !ports.contains(port))
            .collect();
        self.stage.ports = [ports, before].concat();
    }

    /// `$NAME`, `${NAME}` and `${NAME:-default}` replaced; `None` where a value isn't known.
    fn value(&self, text: &str) -> Option<String> {
        let Some((before, rest)) = text.split_once('$') else {
            return Some(text.to_owned());
        };
        let (name, default, rest) = match rest.strip_prefix('{') {
            Some(inner) => {
                let (inner, rest) = inner.split_once('}')?;
                match inner.split_once(":-") {
                    Some((name, default)) => (name, Some(default), rest),
                    None => (inner, None, rest),
                }
            }
            None => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                (&rest[..end], None, &rest[end..])
            }
        };
        let value = self
            .stage
            .variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
            .or(default)?;
        // A value that holds a variable itself is beyond this reader.
        let plain = !value.contains('$');
        plain
            .then(|| {
                self.value(rest)
                    .map(|rest| format!("{before}{value}{rest}"))
            })
            .flatten()
    }
}

/// The instructions, each on one line, without comments.
fn instructions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        match line.strip_suffix('\\') {
            Some(part) => open.push_str(&format!("{part} ")),
            None => found.push(std::mem::take(&mut open) + line),
        }
    }
    found.push(open);
    found.retain(|instruction| !instruction.is_empty());
    found
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| {
        text.strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposed_ports() {
        for (text, want) in [
            ("FROM httpd\nEXPOSE 80\n", vec![80]),
            (
                "FROM httpd\nexpose 8080/tcp 8443/TCP 53/udp\n",
                vec![8080, 8443],
            ),
            (
                "FROM httpd\n# EXPOSE 1\nEXPOSE \\\n  # a comment\n  81\n",
                vec![81],
            ),
            ("FROM a\nEXPOSE $PORT\n", vec![]),
            ("FROM a\nARG PORT=3000\nEXPOSE $PORT\n", vec![3000]),
            ("FROM a\nENV PORT 3001\nEXPOSE ${PORT}/tcp\n", vec![3001]),
            ("FROM a\nENV A=1 PORT=\"3002\"\nEXPOSE $PORT\n", vec![3002]),
            ("FROM a\nEXPOSE ${PORT:-3003}\n", vec![3003]),
            ("ARG PORT=3004\nFROM a\nEXPOSE $PORT\n", vec![]),
            (
                "ARG PORT=3004\nFROM a\nARG PORT\nEXPOSE $PORT\n",
                vec![3004],
            ),
            ("FROM a AS build\nEXPOSE 1\nFROM b\nEXPOSE 2\n", vec![2]),
            (
                "FROM --platform=linux/arm64 a AS Base\nEXPOSE 1\nFROM base\nEXPOSE 2\n",
                vec![2, 1],
            ),
            ("FROM a AS build\nEXPOSE 1\nFROM b\n", vec![]),
            ("FROM a\nEXPOSE 8000-8010 0 70000 x\n", vec![]),
            ("FROM a\r\nEXPOSE 80\r\n", vec![80]),
            ("", vec![]),
        ] {
            assert_eq!(ports(text), want, "{text}");
        }
    }
}

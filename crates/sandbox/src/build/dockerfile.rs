//! Interprets a Dockerfile as far as files go: FROM, COPY, ADD, WORKDIR, EXPOSE, ENV, ARG. Everything that would need a
//! container (RUN above all) is noted as not run. Errors are in Docker's words. Must not run anything.

use std::collections::BTreeMap;

use super::archive::Files;
use super::glob;
use crate::faults::TaskFault;
use crate::runtime::{Content, Image};

/// What came of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) image: Image,
    /// What a person should know, one line each: the steps, and what was left out.
    pub(super) notes: Vec<String>,
}

/// Where an image of the account's own registry comes from: `None` is another registry, an error is one that isn't there.
pub(super) type Pull<'a> = dyn Fn(&str) -> Option<Result<Image, String>> + 'a;

/// One instruction with its arguments and heredocs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    line: usize,
    name: String,
    arguments: String,
    /// Delimiter and text.
    heredocs: Vec<(String, String)>,
}

/// A stage in the making.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: Option<String>,
    image: Image,
    workdir: String,
    variables: BTreeMap<String, String>,
    /// Whether files may be missing that a real build would have: it ran something, or began with an image that the sandbox
    /// doesn't hold.
    uncertain: bool,
}

/// The label that says what the image's tasks are to suffer.
const FAULT: &str = "ecspipe.sandbox.fault";

const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Builds the Dockerfile's last stage from the context's files.
pub(super) fn build(text: &str, context: &Files, pull: &Pull<'_>) -> Result<Built, String> {
    let instructions = parse(text)?;
    let mut builder = Builder {
        context: visible(context),
        pull,
        globals: BTreeMap::new(),
        stages: Vec::new(),
        notes: Vec::new(),
    };
    for instruction in &instructions {
        builder.apply(instruction)?;
    }
    let Some(mut last) = builder.stages.pop() else {
        return Err("failed to solve: dockerfile contains no stages to build".to_owned());
    };
    last.image.root = root(&last);
    Ok(Built {
        image: last.image,
        notes: builder.notes,
    })
}

/// The context without what `.dockerignore` names.
fn visible(context: &Files) -> Files {
    let rules = context
        .get(".dockerignore")
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .unwrap_or_default();
    let rules: Vec<&str> = rules
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let ignored = |path: &str| {
        let mut ignored = false;
        for rule in &rules {
            let (rule, keep) = rule
                .strip_prefix('!')
                .map_or((*rule, false), |rule| (rule, true));
            let rule = rule.trim_start_matches('/').trim_end_matches('/');
            if glob::covers(rule, path) {
                ignored = !keep;
            }
        }
        ignored
    };
    context
        .iter()
        .filter(|(path, _)| !ignored(path))
        .map(|(path, content)| (path.clone(), content.clone()))
        .collect()
}

struct Builder<'a> {
    context: Files,
    pull: &'a Pull<'a>,
    /// ARGs before the first FROM.
    globals: BTreeMap<String, String>,
    stages: Vec<Stage>,
    notes: Vec<String>,
}

impl Builder<'_> {
    fn apply(&mut self, instruction: &Instruction) -> Result<(), String> {
        let Instruction {
            line,
            name,
            arguments,
            ..
        } = instruction;
        match name.as_str() {
            "FROM" => return self.from(instruction),
            "ARG" => return self.arg(instruction),
            _ => {}
        }
        let number = self.stages.len();
        let Some(stage) = self.stages.last_mut() else {
            return Err(format!(
                "failed to solve: dockerfile parse error on line {line}: no build stage in current context"
            ));
        };
        self.notes.push(format!("#{number} {name} {arguments}"));
        match name.as_str() {
            "COPY" | "ADD" => return self.copy(instruction),
            "WORKDIR" => {
                let folder = expand(arguments, &stage.variables);
                stage.workdir = absolute(&stage.workdir, &unquote(&folder));
            }
            "ENV" => {
                for (key, value) in assignments(arguments) {
                    let value = expand(&value, &stage.variables);
                    stage.variables.insert(key, value);
                }
            }
            "EXPOSE" => expose(stage, arguments, *line)?,
            "LABEL" => {
                let said = assignments(arguments)
                    .into_iter()
                    .find(|(key, _)| key == FAULT);
                if let Some((_, text)) = said {
                    let text = expand(&text, &stage.variables);
                    let fault = TaskFault::of_label(&text)
                        .map_err(|why| format!("the label {FAULT} on line {line}: {why}"))?;
                    stage.image.fault = Some(fault);
                }
            }
            "CMD" | "ENTRYPOINT" | "USER" | "STOPSIGNAL" | "VOLUME" | "HEALTHCHECK"
            | "MAINTAINER" | "SHELL" => {}
            _ => {
                stage.uncertain = true;
                self.notes
                    .push(format!("{name} is not run by the sandbox's builder"));
            }
        }
        Ok(())
    }

    fn from(&mut self, instruction: &Instruction) -> Result<(), String> {
        let arguments = expand(&instruction.arguments, &self.globals);
        let words: Vec<&str> = arguments
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        let (base, name) = match words.as_slice() {
            [base] => (*base, None),
            [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
                (*base, Some(name.to_lowercase()))
            }
            _ => {
                let message = "FROM requires either one or three arguments";
                return Err(format!(
                    "failed to solve: dockerfile parse error on line {}: {message}",
                    instruction.line
                ));
            }
        };
        if base.is_empty() {
            return Err(format!(
                "failed to solve: dockerfile parse error on line {}: base name should not be blank",
                instruction.line
            ));
        }
        let mut stage = self.begin(base)?;
        stage.name = name;
        self.stages.push(stage);
        self.notes
            .push(format!("#{} FROM {base}", self.stages.len()));
        Ok(())
    }

    /// A stage on top of an earlier one, of an image of this account, or of one that the sandbox knows by name only.
    fn begin(&mut self, base: &str) -> Result<Stage, String> {
        if let Some(earlier) = self
            .stages
            .iter()
            .find(|stage| stage.name.as_deref() == Some(&base.to_lowercase()))
        {
            return Ok(Stage {
                name: None,
                ..earlier.clone()
            });
        }
        let fresh = |image: Image, uncertain: bool| Stage {
            image,
            uncertain,
            workdir: "/".to_owned(),
            ..Stage::default()
        };
        match (self.pull)(base) {
            Some(Ok(image)) => Ok(fresh(image, false)),
            Some(Err(why)) => Err(format!(
                "failed to solve: {base}: failed to resolve source metadata for {base}: {why}"
            )),
            None => Ok(fresh(
                Image {
                    base: base.to_owned(),
                    ..Image::default()
                },
                base != "scratch",
            )),
        }
    }

    fn arg(&mut self, instruction: &Instruction) -> Result<(), String> {
        if instruction.arguments.is_empty() {
            return Err(format!(
                "failed to solve: dockerfile parse error on line {}: ARG requires at least one argument",
                instruction.line
            ));
        }
        let globals = self.globals.clone();
        let variables = self
            .stages
            .last_mut()
            .map_or(&mut self.globals, |stage| &mut stage.variables);
        for word in words(&instruction.arguments) {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(expand(&unquote(value), variables))),
                // A stage sees a global ARG by naming it again.
                None => (word.clone(), globals.get(&word).cloned()),
            };
            if let Some(value) = value {
                variables.entry(key).or_insert(value);
            }
        }
        Ok(())
    }

    fn copy(&mut self, instruction: &Instruction) -> Result<(), String> {
        let Instruction { line, name, .. } = instruction;
        let Some(index) = self.stages.len().checked_sub(1) else {
            return Ok(());
        };
        let variables = self.stages[index].variables.clone();
        let (flags, mut sources) = copy_arguments(&instruction.arguments);
        for source in &mut sources {
            *source = expand(source, &variables);
        }
        let wrong = |what: &str| {
            Err(format!(
                "failed to solve: dockerfile parse error on line {line}: {what}"
            ))
        };
        let Some(target) = sources.pop().filter(|_| !sources.is_empty()) else {
            return wrong(&format!(
                "{name} requires at least two arguments, but only one was provided. Destination could not be determined"
            ));
        };
        if sources.len() > 1 && !target.ends_with('/') && target != "." {
            return wrong(&format!(
                "When using {name} with more than one source file, the destination must be a directory and end with a /"
            ));
        }
        let from = flags
            .get("from")
            .map(|from| self.source_stage(&expand(from, &variables)));
        let mut found = Files::new();
        for source in &sources {
            let heredoc = instruction
                .heredocs
                .iter()
                .find(|(word, _)| heredoc_word(source) == Some(word));
            let copied = match heredoc {
                Some((word, text)) => vec![(word.clone(), text.clone().into_bytes(), true)],
                None => self.select(name, source, from.as_ref())?,
            };
            for (relative, content, whole) in copied {
                // One file may be given a new name; what comes out of a folder keeps its path.
                let renamed = whole
                    && !glob::is_pattern(source)
                    && !target.ends_with('/')
                    && !is_folder(&self.stages[index], &target);
                let folder = absolute(&self.stages[index].workdir, &target);
                found.insert(
                    if renamed {
                        folder
                    } else {
                        absolute(&folder, &relative)
                    },
                    content,
                );
            }
        }
        let files = found
            .into_iter()
            .map(|(path, content)| (path, Content(content)));
        self.stages[index].image.files.extend(files);
        Ok(())
    }

    /// The files that one source of a COPY or ADD names. What a real build would have and this one can't is left out, and noted.
    fn select(
        &mut self,
        name: &str,
        source: &str,
        from: Option<&Option<(Files, bool)>>,
    ) -> Result<Vec<Copied>, String> {
        if name == "ADD" && (source.contains("://") || source.starts_with("git@")) {
            return Ok(self.leave_out(format!("{source} is not fetched by the sandbox's builder")));
        }
        let (found, uncertain) = match from {
            None => (select(&self.context, source), false),
            Some(Some((files, uncertain))) => (select(files, source), *uncertain),
            Some(None) => {
                return Ok(self.leave_out(format!(
                    "{source} is of an image that the sandbox does not hold: left out"
                )));
            }
        };
        match found.is_empty() {
            false => Ok(found),
            true if uncertain => Ok(self.leave_out(format!(
                "{source} would be made by a step that the sandbox's builder does not run: left out"
            ))),
            true => Err(not_found(source)),
        }
    }

    fn leave_out(&mut self, why: String) -> Vec<Copied> {
        self.notes.push(why);
        if let Some(stage) = self.stages.last_mut() {
            stage.uncertain = true;
        }
        Vec::new()
    }

    /// The files of a stage, by name, number or image, as relative paths, and whether some may be missing. `None`: an image
    /// that the sandbox doesn't hold.
    fn source_stage(&self, from: &str) -> Option<(Files, bool)> {
        let strip = |image: &Image| -> Files {
            image
                .files
                .iter()
                .map(|(path, content)| (path.trim_start_matches('/').to_owned(), content.0.clone()))
                .collect()
        };
        let number = from.parse::<usize>().ok();
        let earlier = self.stages.len().saturating_sub(1);
        let named = |(index, stage): &(usize, &Stage)| {
            stage.name.as_deref() == Some(&from.to_lowercase()) || number == Some(*index)
        };
        if let Some((_, stage)) = self.stages.iter().take(earlier).enumerate().find(named) {
            return Some((strip(&stage.image), stage.uncertain));
        }
        (self.pull)(from)?.ok().map(|image| (strip(&image), false))
    }
}

/// Docker's words for a source that isn't in the context.
fn not_found(path: &str) -> String {
    let path = normal(path);
    format!(
        "failed to solve: failed to compute cache key: failed to calculate checksum of ref: \"/{path}\": not found"
    )
}

/// Relative target path, content, and whether the source names this very file.
type Copied = (String, Vec<u8>, bool);

/// The files that a source names.
fn select(files: &Files, source: &str) -> Vec<Copied> {
    let source = normal(source);
    if source.is_empty() {
        return files
            .iter()
            .map(|(path, content)| (path.clone(), content.clone(), false))
            .collect();
    }
    let mut found = Vec::new();
    for (path, content) in files {
        if glob::matches(&source, path) {
            let name = path.rsplit('/').next().unwrap_or(path);
            found.push((name.to_owned(), content.clone(), true));
        } else if let Some(inside) = glob::inside(&source, path) {
            found.push((inside.to_owned(), content.clone(), false));
        }
    }
    found
}

fn is_folder(stage: &Stage, target: &str) -> bool {
    let folder = absolute(&stage.workdir, target);
    let prefix = format!("{}/", folder.trim_end_matches('/'));
    folder == stage.workdir
        || stage
            .image
            .files
            .keys()
            .any(|path| path.starts_with(&prefix))
        || conventional_root(&stage.image.base) == Some(&folder)
}

fn expose(stage: &mut Stage, arguments: &str, line: usize) -> Result<(), String> {
    for word in expand(arguments, &stage.variables).split_whitespace() {
        let ports = word.split('/').next().unwrap_or_default();
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            return Err(format!(
                "failed to solve: dockerfile parse error on line {line}: invalid containerPort: {word}"
            ));
        };
        for port in first..=last {
            if !stage.image.ports.contains(&port) {
                stage.image.ports.push(port);
            }
        }
    }
    Ok(())
}

/// The folder that web-server images serve, by their documentation.
fn conventional_root(base: &str) -> Option<&'static str> {
    let repository = base.split('@').next().unwrap_or(base);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    let (name, tag) = name.split_once(':').unwrap_or((name, ""));
    match name {
        "httpd" => Some("/usr/local/apache2/htdocs"),
        "nginx" | "nginx-unprivileged" => Some("/usr/share/nginx/html"),
        "caddy" => Some("/usr/share/caddy"),
        "php" if tag.contains("apache") => Some("/var/www/html"),
        _ => None,
    }
}

/// The folder that a task serves: the base image's convention, else where an index page was copied, else the work folder.
fn root(stage: &Stage) -> Option<String> {
    let below = |folder: &str| {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        stage
            .image
            .files
            .keys()
            .any(|path| path.starts_with(&prefix))
    };
    if let Some(root) = conventional_root(&stage.image.base) {
        return Some(root.to_owned());
    }
    let index = stage
        .image
        .files
        .keys()
        .filter_map(|path| path.strip_suffix("/index.html"))
        .min_by_key(|folder| folder.len());
    if let Some(folder) = index {
        return Some(if folder.is_empty() {
            "/".to_owned()
        } else {
            folder.to_owned()
        });
    }
    if let Some(root) = &stage.image.root {
        return Some(root.clone());
    }
    below(&stage.workdir).then(|| stage.workdir.clone())
}

/// Instructions with continuation lines joined, comments dropped and heredocs taken in.
fn parse(text: &str) -> Result<Vec<Instruction>, String> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    let mut instructions = Vec::new();
    while let Some((line, first)) = lines.next() {
        if first.trim().is_empty() || first.trim_start().starts_with('#') {
            continue;
        }
        let mut joined = first.trim().to_owned();
        while let Some(open) = joined.strip_suffix('\\') {
            joined = open.to_owned();
            let Some((_, next)) = lines.next() else { break };
            if next.trim_start().starts_with('#') || next.trim().is_empty() {
                joined.push('\\');
                continue;
            }
            joined.push_str(next.trim());
        }
        let (name, arguments) = joined
            .split_once(char::is_whitespace)
            .unwrap_or((&joined, ""));
        let (name, arguments) = (name.to_uppercase(), arguments.trim().to_owned());
        if !INSTRUCTIONS.contains(&name.as_str()) {
            return Err(format!(
                "failed to solve: dockerfile parse error on line {line}: unknown instruction: {name}"
            ));
        }
        let mut heredocs = Vec::new();
        if matches!(name.as_str(), "RUN" | "COPY" | "ADD") {
            for word in heredoc_words(&arguments) {
                let mut body = String::new();
                loop {
                    let Some((_, next)) = lines.next() else {
                        return Err(format!(
                            "failed to solve: dockerfile parse error on line {line}: unterminated heredoc"
                        ));
                    };
                    if next.trim() == word {
                        break;
                    }
                    body.push_str(next);
                    body.push('\n');
                }
                heredocs.push((word, body));
            }
        }
        instructions.push(Instruction {
            line,
            name,
            arguments,
            heredocs,
        });
    }
    if instructions.is_empty() {
        return Err("failed to solve: file with no instructions".to_owned());
    }
    Ok(instructions)
}

fn heredoc_words(arguments: &str) -> Vec<String> {
    arguments
        .split_whitespace()
        .filter_map(heredoc_word)
        .map(ToOwned::to_owned)
        .collect()
}

/// `<<EOF`, `<<-EOF`, `<<"EOF"`: `EOF`.
fn heredoc_word(text: &str) -> Option<&str> {
    let word = text
        .strip_prefix("<<")?
        .trim_start_matches('-')
        .trim_matches(['"', '\'']);
    (!word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .then_some(word)
}

/// Flags (`--from=x`) and paths; both the plain and the JSON form.
fn copy_arguments(arguments: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut flags = BTreeMap::new();
    let mut rest = arguments.trim();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (key, value) = flag.split_once('=').unwrap_or((flag, "true"));
        flags.insert(key.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    let json: Option<Vec<String>> = rest
        .starts_with('[')
        .then(|| serde_json::from_str(rest).ok())
        .flatten();
    (
        flags,
        json.unwrap_or_else(|| words(rest).iter().map(|word| unquote(word)).collect()),
    )
}

/// `A=b C="d e"` or the old form `A b c`.
fn assignments(arguments: &str) -> Vec<(String, String)> {
    let all = words(arguments);
    if all.first().is_some_and(|word| word.contains('=')) {
        let pair = |word: &String| {
            word.split_once('=')
                .map(|(key, value)| (key.to_owned(), unquote(value)))
        };
        return all.iter().filter_map(pair).collect();
    }
    match arguments.split_once(char::is_whitespace) {
        Some((key, value)) => vec![(key.to_owned(), unquote(value.trim()))],
        None => Vec::new(),
    }
}

/// Words with their quotes; a space inside quotes or after a backslash doesn't part them.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', None) => {
                word.push(c);
                word.extend(characters.next());
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.push(c);
            }
            (c, Some(open)) if c == open => {
                quote = None;
                word.push(c);
            }
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn unquote(text: &str) -> String {
    let inner = |quote: char| {
        text.strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
    };
    inner('"')
        .or_else(|| inner('\''))
        .map_or_else(|| text.replace("\\ ", " "), ToOwned::to_owned)
}

/// `$A`, `${A}`, `${A:-default}`, `${A:+other}`; an unknown variable is empty, as in Docker.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if let Some(kept) = before.strip_suffix('\\') {
            out.push_str(kept);
            out.push('$');
            rest = after;
            continue;
        }
        out.push_str(before);
        if let Some((expression, tail)) = after
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'))
        {
            out.push_str(&braced(expression, variables));
            rest = tail;
        } else {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            match end {
                0 => out.push('$'),
                _ => out.push_str(
                    variables
                        .get(&after[..end])
                        .map(String::as_str)
                        .unwrap_or_default(),
                ),
            }
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

fn braced(expression: &str, variables: &BTreeMap<String, String>) -> String {
    let get = |name: &str| {
        variables
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    };
    if let Some((name, default)) = expression.split_once(":-") {
        return get(name).unwrap_or_else(|| expand(default, variables));
    }
    if let Some((name, other)) = expression.split_once(":+") {
        return get(name)
            .map(|_| expand(other, variables))
            .unwrap_or_default();
    }
    get(expression).unwrap_or_default()
}

/// `path` seen from `folder`, without `.`, `..` and doubled slashes.
fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    };
    format!("/{}", normal(&whole))
}

/// A path without leading slash, `.`, and `..`; what would lead out stops at the top, as in Docker's context.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn context(paths: &[(&str, &str)]) -> Files {
        paths
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    fn app() -> Files {
        context(&[
            ("Dockerfile", ""),
            ("src/index.html", "hi"),
            ("src/css/a.css", "c"),
            ("b.txt", "b"),
            ("c.txt", "c"),
        ])
    }

    fn none(_: &str) -> Option<Result<Image, String>> {
        None
    }

    /// The paths of the image that `text` makes of [`app`].
    fn paths(text: &str) -> Vec<String> {
        build(text, &app(), &none)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .image
            .files
            .into_keys()
            .collect()
    }

    fn error(text: &str) -> String {
        build(text, &app(), &none).expect_err(text)
    }

    #[test]
    fn the_tutorial_s_app() {
        let text = "FROM public.ecr.aws/docker/library/httpd:2.4.58\nCOPY ./src/ /usr/local/apache2/htdocs/\nEXPOSE 80\n";
        let image = build(text, &app(), &none).unwrap().image;
        assert_eq!(image.base, "public.ecr.aws/docker/library/httpd:2.4.58");
        assert_eq!(image.ports, [80]);
        assert_eq!(image.root.as_deref(), Some("/usr/local/apache2/htdocs"));
        let paths: Vec<&String> = image.files.keys().collect();
        assert_eq!(
            paths,
            [
                "/usr/local/apache2/htdocs/css/a.css",
                "/usr/local/apache2/htdocs/index.html"
            ]
        );
    }

    #[test]
    fn where_copied_files_go() {
        let table: [(&str, &[&str]); 16] = [
            ("FROM x\nCOPY b.txt /d/", &["/d/b.txt"]),
            ("FROM x\nCOPY b.txt /d", &["/d"]),
            ("FROM x\nCOPY b.txt c.txt /d/", &["/d/b.txt", "/d/c.txt"]),
            ("FROM x\nCOPY *.txt /d/", &["/d/b.txt", "/d/c.txt"]),
            ("FROM x\nCOPY src /d", &["/d/css/a.css", "/d/index.html"]),
            ("FROM x\nCOPY src/* /d/", &["/d/a.css", "/d/index.html"]),
            ("FROM x\nWORKDIR /w\nCOPY b.txt .", &["/w/b.txt"]),
            (
                "FROM x\nWORKDIR /w\nWORKDIR v\nCOPY b.txt ./n.txt",
                &["/w/v/n.txt"],
            ),
            ("FROM x\nCOPY [\"b.txt\", \"/d d/\"]", &["/d d/b.txt"]),
            (
                "FROM x\nCOPY --chown=a:b --chmod=755 b.txt /d/",
                &["/d/b.txt"],
            ),
            ("from x\nadd b.txt /d/ # not a comment\n", &[]),
            (
                "FROM x\nARG D=/d\nENV E=$D/e F=\"${E}/f\"\nCOPY b.txt ${F}/",
                &["/d/e/f/b.txt"],
            ),
            ("ARG D=/d\nFROM x\nARG D\nCOPY b.txt $D/", &["/d/b.txt"]),
            (
                "# c\nFROM x\n\nCOPY \\\n  # inside\n  b.txt \\\n  /d/\n",
                &["/d/b.txt"],
            ),
            (
                "FROM x\nCOPY <<EOF /d/page.html\nCOPY nothing /\nEOF\n",
                &["/d/page.html"],
            ),
            (
                "FROM a AS one\nCOPY src /o\nFROM b\nCOPY --from=one /o/index.html /d/\nCOPY --from=0 /o/css /d/css",
                &["/d/css/a.css", "/d/index.html"],
            ),
        ];
        for (text, want) in table {
            if want.is_empty() {
                assert!(build(text, &app(), &none).is_err(), "{text}");
            } else {
                assert_eq!(paths(text), want, "{text}");
            }
        }
    }

    #[test]
    fn errors_are_docker_s() {
        let table = [
            ("", "file with no instructions"),
            ("COPY a b", "no build stage in current context"),
            (
                "FORM x",
                "dockerfile parse error on line 1: unknown instruction: FORM",
            ),
            ("FROM", "FROM requires either one or three arguments"),
            ("FROM x\nCOPY none /d/", "\"/none\": not found"),
            ("FROM x\nCOPY ../secret /d/", "\"/secret\": not found"),
            (
                "FROM x\nCOPY a",
                "line 2: COPY requires at least two arguments",
            ),
            (
                "FROM x\nCOPY b.txt c.txt /d",
                "the destination must be a directory and end with a /",
            ),
            ("FROM x\nEXPOSE eighty", "invalid containerPort: eighty"),
            ("FROM x\nRUN <<EOF\nls\n", "unterminated heredoc"),
            (
                "FROM scratch AS one\nFROM x\nCOPY --from=one /no /d/",
                "\"/no\": not found",
            ),
        ];
        for (text, want) in table {
            let have = error(text);
            assert!(have.contains(want), "{text}: {have}");
        }
    }

    #[test]
    fn what_is_not_run_is_said() {
        let text = "FROM node AS build\nRUN npm run build\nFROM nginx\nCOPY --from=build /app/dist /usr/share/nginx/html\nCOPY --from=other/image /x /y";
        let built = build(text, &app(), &none).unwrap();
        let notes = built.notes.join("\n");
        for want in [
            "RUN is not run",
            "/app/dist would be made by a step",
            "/x is of an image that the sandbox does not hold",
        ] {
            assert!(notes.contains(want), "{want}: {notes}");
        }
        assert_eq!(built.image.root.as_deref(), Some("/usr/share/nginx/html"));
    }

    #[test]
    fn a_label_says_what_tasks_suffer() {
        let of = |label: &str| build(&format!("FROM nginx\nLABEL a=b {label}\n"), &app(), &none);
        let built = of(r#"ecspipe.sandbox.fault='{"crash": {"exit_code": 3}}'"#).unwrap();
        let want = TaskFault::of_label(r#"{"crash": {"exit_code": 3}}"#).unwrap();
        assert_eq!(built.image.fault, Some(want));
        let built = of("ecspipe.sandbox.fault=hang").unwrap();
        assert_eq!(
            built.image.fault,
            Some(TaskFault::of_label("hang").unwrap())
        );
        assert_eq!(of("c=d").unwrap().image.fault, None);
        let wrong = of("ecspipe.sandbox.fault=explode").unwrap_err();
        assert!(
            wrong.contains("on line 2") && wrong.contains("out_of_memory"),
            "{wrong}"
        );
    }

    #[test]
    fn an_image_of_the_account_is_built_upon() {
        let base = Image {
            base: "nginx".to_owned(),
            files: BTreeMap::from([("/x".to_owned(), Content(b"x".to_vec()))]),
            ports: vec![8080],
            ..Image::default()
        };
        let pull = |uri: &str| match uri {
            "acct/base:1" => Some(Ok(base.clone())),
            "acct/base:2" => Some(Err("not found".to_owned())),
            _ => None,
        };
        let image = build("FROM acct/base:1\nCOPY b.txt /", &app(), &pull)
            .unwrap()
            .image;
        assert_eq!(image.base, "nginx");
        assert_eq!(image.ports, [8080]);
        assert_eq!(image.files.keys().collect::<Vec<_>>(), ["/b.txt", "/x"]);
        let have = build("FROM acct/base:2", &app(), &pull).unwrap_err();
        assert!(have.contains("acct/base:2: not found"), "{have}");
    }

    #[test]
    fn the_ignore_file_counts() {
        let files = context(&[
            (".dockerignore", "# c\nsrc\n!src/keep\n**/*.log\n"),
            ("src/a", ""),
            ("src/keep", ""),
            ("d/e.log", ""),
            ("b", ""),
        ]);
        let image = build("FROM x\nCOPY . /", &files, &none).unwrap().image;
        assert_eq!(
            image.files.keys().collect::<Vec<_>>(),
            ["/.dockerignore", "/b", "/src/keep"]
        );
    }
}

//! `buildspec.yml`: builds the image, pushes it, and leaves `imageDetail.json` with its digest (AWS.md §1.4).
//! Must not write text of the spec into a command: it goes in as environment variables, which the shell doesn't read as code.

use std::sync::LazyLock;

use ecspipe_spec::{Architecture, Facts, Names, Spec};
use serde_json::{Value, json};

use crate::RenderError;
use crate::templates::{Template, line};

const TEXT: &str = include_str!("buildspec.yml.hbs");

/// Read once: that takes longer than to render it.
static TEMPLATE: LazyLock<Result<Template, RenderError>> = LazyLock::new(|| Template::read(TEXT));

/// The file's text.
pub(crate) fn render(spec: &Spec, facts: &Facts) -> Result<String, RenderError> {
    let names = Names::new(&spec.app, facts);
    let platform = match spec.service.architecture {
        Architecture::X86_64 => "linux/amd64",
        Architecture::Arm64 => "linux/arm64",
    };
    let context = json!({
        "repository_uri": format!("{}/{}", facts.registry(), names.app()),
        "dockerfile": spec.build.dockerfile,
        "context": spec.build.context,
        "platform": platform,
    });
    match &*TEMPLATE {
        Ok(template) => template.render(&context),
        Err(error) => Err(error.clone()),
    }
}

/// Whether `text` is the template with a text as JSON in the place of each value, and nothing else. To whoever reads YAML such texts differ
/// by their values alone.
pub(crate) fn has_the_form(text: &str) -> bool {
    let mut pieces = TEXT.split("{{json ");
    let head = pieces.next().and_then(|head| text.strip_prefix(head));
    let rest = pieces.try_fold(head, |rest, piece| {
        let (_, behind) = piece.split_once("}}")?;
        let (value, rest) = rest?.split_once('\n')?;
        let rest = rest.strip_prefix(behind.strip_prefix('\n')?)?;
        is_text_on_a_line(value).then_some(Some(rest))
    });
    rest.flatten() == Some("")
}

fn is_text_on_a_line(value: &str) -> bool {
    match serde_json::from_str(value) {
        Ok(text @ Value::String(_)) => line(&text) == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whatever_is_written_has_the_form_and_nothing_else_has() {
        let read = |file: &str| {
            let text = format!("version: 1\napp: web\nservice: {{ port: 80 }}\nbuild: {file}\n");
            let spec = ecspipe_spec::parse(&text).unwrap();
            render(&spec, &Facts::new("111122223333", "eu-central-1")).unwrap()
        };
        for file in [
            "{}",
            "{ dockerfile: 'd: #\"&*$(x)', context: '{{json x}}' }",
            "{ dockerfile: \"\\u2028\u{e4}\" }",
        ] {
            assert!(has_the_form(&read(file)), "{}", read(file));
        }
        let sound = read("{}");
        for (from, to) in [
            ("\"Dockerfile\"", "Dockerfile"),
            ("\"Dockerfile\"", "\"\u{2028}\""),
            ("\"Dockerfile\"", "\"a\" # \""),
            ("\"Dockerfile\"", "7"),
            ("[imageDetail.json]", "['**/*']"),
            ("version: 0.2", "version: 0.1"),
            ("env:", "env: "),
        ] {
            assert!(sound.contains(from), "{sound}");
            assert!(!has_the_form(&sound.replacen(from, to, 1)), "{to}");
        }
        assert!(!has_the_form(&format!("{sound}\n")) && !has_the_form(""));
    }
}

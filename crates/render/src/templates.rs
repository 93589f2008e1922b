//! Handlebars, set up once: strict, nothing escaped, a `json` helper. Must not read files: a template comes as text.

use ecspipe_spec::names::RoleName;
use ecspipe_spec::{Facts, Names, Spec};
use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, no_escape,
};
use serde_json::{Value, json};

use crate::RenderError;

/// A template that was read once and is rendered as often as wanted.
pub(crate) struct Template(Handlebars<'static>);

impl Template {
    /// The template that `text` is.
    pub(crate) fn read(text: &str) -> Result<Self, RenderError> {
        let mut engine = Handlebars::new();
        engine.set_strict_mode(true);
        engine.register_escape_fn(no_escape);
        engine.register_helper("json", Box::new(write_json));
        engine
            .register_template_string(NAME, text)
            .map_err(|error| {
                let (line, column) = error
                    .pos()
                    .map_or((None, None), |(line, column)| (Some(line), Some(column)));
                RenderError::Template {
                    line,
                    column,
                    message: error.reason().to_string(),
                }
            })?;
        Ok(Self(engine))
    }

    /// The template with what `context` holds.
    pub(crate) fn render(&self, context: &Value) -> Result<String, RenderError> {
        self.0
            .render(NAME, context)
            .map_err(|error| RenderError::Template {
                line: error.line_no,
                column: error.column_no,
                message: reason(&error),
            })
    }
}

/// What the one template of an engine is called.
const NAME: &str = "template";

/// What a user's template sees.
pub(crate) fn context(spec: &Spec, facts: &Facts) -> Result<Value, RenderError> {
    let value = |value: Result<Value, serde_json::Error>| {
        value.map_err(|error| RenderError::Write {
            file: "the template's context",
            message: error.to_string(),
        })
    };
    let mut resolved = value(serde_json::to_value(spec))?;
    // Strict mode refuses what is absent; null can be asked for with `{{#if}}`.
    for pointer in [
        "/account",
        "/region",
        "/network/existing",
        "/network/cidr",
        "/network/zones",
        "/network/nat",
        "/cluster",
        "/service/image",
        "/load_balancer/existing",
        "/load_balancer/production/allow",
        "/load_balancer/test/allow",
        "/deploy/approve",
        "/kms_key",
        "/roles",
        "/permissions_boundary",
    ] {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(keys)) = resolved.pointer_mut(parent) {
            keys.entry(key).or_insert(Value::Null);
        }
    }
    Ok(
        json!({ "spec": resolved, "facts": value(serde_json::to_value(facts))?, "names": names(spec, facts) }),
    )
}

/// `line 3, column 7`, or `template` where the place isn't known.
pub(crate) fn place(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}"),
        (Some(line), None) => format!("line {line}"),
        _ => "template".to_owned(),
    }
}

fn names(spec: &Spec, facts: &Facts) -> Value {
    let names = Names::new(&spec.app, facts);
    let roles: serde_json::Map<String, Value> = RoleName::ALL
        .iter()
        .map(|role| {
            let arn = spec.role_arn(facts, *role);
            let name = arn.rsplit('/').next().unwrap_or_default();
            (role.suffix().to_owned(), Value::from(name))
        })
        .collect();
    json!({
        "app": names.app(),
        "cluster": spec.cluster_name(facts),
        "load_balancer": spec.load_balancer_name(facts),
        "target_groups": { "blue": names.target_group("blue"), "green": names.target_group("green") },
        "buckets": { "artifacts": names.bucket("artifacts"), "bundle": names.bucket("bundle") },
        "bundle_key": names.bundle_key(),
        "roles": roles,
        "log_groups": { "service": names.service_log_group(), "build": names.build_log_group() },
        "key_alias": names.key_alias(),
    })
}

/// `{{json value}}`: see [`line`].
fn write_json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let parameter = helper
        .param(0)
        .ok_or(RenderErrorReason::ParamNotFoundForIndex("json", 0))?;
    if parameter.is_value_missing() {
        let name = parameter.relative_path().cloned();
        return Err(RenderErrorReason::MissingVariable(name).into());
    }
    Ok(out.write(&line(parameter.value()))?)
}

/// The value as JSON on one line, which is YAML too.
pub(crate) fn line(value: &Value) -> String {
    let json = value.to_string();
    // Legal in JSON as they are, but line breaks or nothing at all to some YAML readers.
    let odd = |letter: char| {
        matches!(
            letter,
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        )
    };
    if !json.contains(odd) {
        return json;
    }
    let mut line = String::with_capacity(json.len() + 5);
    for letter in json.chars() {
        if odd(letter) {
            line.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            line.push(letter);
        }
    }
    line
}

fn reason(error: &handlebars::RenderError) -> String {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => {
            format!("`{name}` is not a variable; there are `spec`, `facts` and `names`")
        }
        other => other.to_string(),
    }
}

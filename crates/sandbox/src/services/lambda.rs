//! AWS Lambda, as far as hooks of deployments go: functions are made, shown and called. No code runs: how a function behaves is
//! dialled ([`crate::faults::Behaviour`]), and one that nothing is said about succeeds. Must not know how a deployment moves.

use std::collections::BTreeMap;

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{codedeploy, ecs, iam, logs};
use crate::clock::{self, Millis};
use crate::faults::{self, Course};
use crate::iam::acting::Actor;
use crate::wire::page::page;
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "CreateFunction",
    "DeleteFunction",
    "GetFunction",
    "GetFunctionConfiguration",
    "Invoke",
    "ListFunctions",
];

/// Lambda in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub functions: BTreeMap<String, Function>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The ARN of the role that its code acts with.
    pub role: String,
    /// When it was created.
    pub created: Millis,
    /// What it was created with, without the code.
    pub settings: Value,
    /// Bytes of the code, and their SHA-256 in base64.
    pub code: (usize, String),
    /// Tags.
    pub tags: Tags,
}

/// What a call of a function comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// When a hook is told, and what; `None`: never.
    pub(crate) tells: Option<(Millis, &'static str)>,
    /// What was thrown.
    pub(crate) thrown: Option<String>,
}

/// A function is active some seconds after it was made.
const CREATING: Millis = 3_000;
const PAGE: usize = 50;

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "CreateFunction" => create(world, call),
        "DeleteFunction" => delete(world, call),
        "GetFunction" => get(world, call),
        "GetFunctionConfiguration" => get_configuration(world, call),
        "Invoke" => invoke(world, call),
        "ListFunctions" => list(world, call),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// A function by name, ARN or partial ARN. Versions and aliases aren't kept: only `$LATEST` is there.
pub(crate) fn find<'a>(world: &'a World, region: &str, name: &str) -> Option<&'a Function> {
    let (name, qualifier) = parts(name);
    let functions = &world.regions.get(region)?.lambda.functions;
    functions
        .get(name)
        .filter(|_| qualifier.is_none_or(|qualifier| qualifier == "$LATEST"))
}

/// The ARN of a function that may not be there.
pub(crate) fn arn(world: &World, region: &str, name: &str) -> String {
    match name.starts_with("arn:") {
        true => name.to_owned(),
        false => world.arn("lambda", region, &format!("function:{}", parts(name).0)),
    }
}

/// Calls a function for a hook of a deployment, and says what comes of it. The function's role must allow what its code does;
/// what it may not do is in its log.
pub(crate) fn run(world: &mut World, region: &str, name: &str, hook: &Value) -> Option<Outcome> {
    let function = find(world, region, name)?.clone();
    let course = faults::of_function(&world.dials.functions, &function.name);
    let request = world.uuid();
    let mut lines = vec![format!("START RequestId: {request} Version: $LATEST")];
    lines.extend(course.log().iter().cloned());
    let now = world.now;
    let at = |after: u64| now + Millis::try_from(after).unwrap_or_default() * 1000;
    let mut outcome = Outcome {
        tells: None,
        thrown: None,
    };
    match course {
        Course::Succeed { after, .. } => outcome.tells = Some((at(after), "Succeeded")),
        Course::Fail { after, .. } => outcome.tells = Some((at(after), "Failed")),
        Course::Silent { .. } => {}
        Course::Throw { message, .. } => {
            lines.push(format!("[ERROR] {message}"));
            outcome.thrown = Some(message);
        }
    }
    if outcome.tells.is_some()
        && hook.text("DeploymentId").is_some()
        && let Err(why) = may_tell(world, region, &function, hook)
    {
        lines.push(format!("[ERROR] AccessDeniedException: {why}"));
        outcome.tells = None;
        outcome.thrown = Some(why);
    }
    lines.push(format!("END RequestId: {request}"));
    write(world, region, &function, &lines);
    Some(outcome)
}

/// Whether the function's role lets it tell CodeDeploy how a hook ended.
fn may_tell(world: &World, region: &str, function: &Function, hook: &Value) -> Result<(), String> {
    let input = json!({
        "deploymentId": hook.text("DeploymentId"),
        "lifecycleEventHookExecutionId": hook.text("LifecycleEventHookExecutionId"),
    });
    act(world, region, function)?
        .may(
            world,
            "codedeploy",
            "PutLifecycleEventHookExecutionStatus",
            input,
        )
        .map_err(|denial| denial.to_string())
}

fn act(world: &World, region: &str, function: &Function) -> Result<Actor, String> {
    let service = "lambda.amazonaws.com";
    Actor::assume(
        world,
        region,
        &function.role,
        service,
        &function.arn,
        &function.name,
    )
}

/// Writes to the function's log, as far as its role allows; the group is made where it may be.
fn write(world: &mut World, region: &str, function: &Function, lines: &[String]) {
    let Ok(actor) = act(world, region, function) else {
        return;
    };
    let group = group_of(&function.name);
    let stream = format!("[$LATEST]{}", world.hex(32));
    let there = world.at(region).logs.groups.contains_key(&group);
    let input = json!({"logGroupName": group, "logStreamName": stream});
    let may =
        |world: &World, operation: &str| actor.may(world, "logs", operation, input.clone()).is_ok();
    if !there {
        if !may(world, "CreateLogGroup") {
            return;
        }
        let input = json!({"logGroupName": group});
        // Somebody else can't have made it meanwhile.
        let _ = ecs::ask(world, region, "logs", "CreateLogGroup", input);
    }
    if may(world, "CreateLogStream") && may(world, "PutLogEvents") {
        for line in lines {
            logs::append(world, region, &group, &stream, line);
        }
    }
}

fn group_of(name: &str) -> String {
    format!("/aws/lambda/{name}")
}

// Operations.

fn create(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let input = &call.input;
    let name = parts(input.text("FunctionName").unwrap_or_default()).0;
    if !is_name(name) {
        return Err(wrong(
            "functionName must have 1 to 64 letters, digits, hyphens and underscores",
        ));
    }
    for member in [
        "VpcConfig",
        "FileSystemConfigs",
        "Layers",
        "DeadLetterConfig",
    ] {
        if input.get(member).is_some_and(|value| !value.is_null()) {
            let message = format!("the ecspipe sandbox does not implement {member}; leave it out");
            return Err(Fault::new("NotImplemented", message).status(501));
        }
    }
    let role = input.text("Role").unwrap_or_default();
    let arn = world.arn("lambda", &call.region, &format!("function:{name}"));
    iam::can_assume(world, role, "lambda.amazonaws.com", &arn)
        .map_err(|_| wrong("The role defined for the function cannot be assumed by Lambda."))?;
    let image = input.text("PackageType") == Some("Image");
    if !image && (input.text("Runtime").is_none() || input.text("Handler").is_none()) {
        return Err(wrong(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ));
    }
    let code = input.get("Code").cloned().unwrap_or_default();
    if !["ZipFile", "S3Bucket", "ImageUri"]
        .iter()
        .any(|member| code.text(member).is_some())
    {
        return Err(wrong("Please provide a source for function code."));
    }
    if world.at(&call.region).lambda.functions.contains_key(name) {
        let message = format!("Function already exist: {name}");
        return Err(Fault::new("ResourceConflictException", message).status(409));
    }
    let bytes = code.to_string().into_bytes();
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&bytes));
    let mut settings = input.clone();
    if let Some(members) = settings.as_object_mut() {
        members.remove("Code");
        members.remove("Tags");
    }
    let tags = input.get("Tags").and_then(Value::as_object);
    let tag = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let function = Function {
        arn,
        name: name.to_owned(),
        role: role.to_owned(),
        created: world.now,
        settings,
        code: (bytes.len(), digest),
        tags: tags.into_iter().flatten().filter_map(tag).collect(),
    };
    let shape = configuration(world, &function);
    let functions = &mut world.at(&call.region).lambda.functions;
    functions.insert(function.name.clone(), function);
    Ok(raw(201, &shape))
}

fn delete(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = wanted(world, call)?.name.clone();
    world.at(&call.region).lambda.functions.remove(&name);
    Ok(Reply::Value(json!({})))
}

fn get(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let function = wanted(world, call)?;
    let mut shape = json!({
        "Configuration": configuration(world, function),
        "Code": {"RepositoryType": "S3", "Location": format!("https://awslambda-{}-tasks.s3.{0}.amazonaws.com/{}", call.region, function.name)},
    });
    if !function.tags.is_empty() {
        shape["Tags"] = json!(function.tags);
    }
    Ok(Reply::Value(shape))
}

fn get_configuration(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let function = wanted(world, call)?;
    Ok(Reply::Value(configuration(world, function)))
}

fn list(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let functions = world
        .regions
        .get(&call.region)
        .map(|region| &region.lambda.functions);
    let keyed: Vec<(String, Value)> = functions
        .into_iter()
        .flatten()
        .map(|(name, function)| (name.clone(), configuration(world, function)))
        .collect();
    let size = call
        .input
        .text("MaxItems")
        .and_then(|size| size.parse().ok());
    let page = page(
        keyed,
        call.input.text("Marker"),
        size.unwrap_or(PAGE).clamp(1, PAGE),
    );
    let page = page.ok_or_else(|| wrong("Invalid marker."))?;
    let mut answer = json!({"Functions": page.items});
    if let Some(next) = page.next {
        answer["NextMarker"] = json!(next);
    }
    Ok(Reply::Value(answer))
}

/// Calls the function. What it does later, it does later: the answer comes at once.
fn invoke(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = wanted(world, call)?.name.clone();
    let payload: Value = match call.http.body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(&call.http.body).map_err(|error| {
            let message = format!("Could not parse request body into json: {error}");
            Fault::new("InvalidRequestContentException", message)
        })?,
    };
    let kind = call.http.headers.get("x-amz-invocation-type");
    let headers = |more: &[(&str, &str)]| {
        let version = ("x-amz-executed-version", "$LATEST");
        [version]
            .iter()
            .chain(more)
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    if kind.map(String::as_str) == Some("DryRun") {
        return Ok(Reply::Raw(204, headers(&[]), Bytes::new()));
    }
    let outcome = run(world, &call.region, &name, &payload).ok_or_else(|| missing(world, call))?;
    if let Some((at, status)) = outcome.tells {
        codedeploy::plan_hook(world, &call.region, &payload, at, status);
    }
    if kind.map(String::as_str) == Some("Event") {
        return Ok(Reply::Raw(202, Vec::new(), Bytes::new()));
    }
    Ok(match outcome.thrown {
        None => Reply::Raw(200, headers(&[]), Bytes::from_static(b"null")),
        Some(message) => {
            let body = json!({"errorMessage": message, "errorType": "Error"}).to_string();
            Reply::Raw(
                200,
                headers(&[("x-amz-function-error", "Unhandled")]),
                body.into(),
            )
        }
    })
}

// What the operations share.

fn wanted<'a>(world: &'a World, call: &Call) -> Result<&'a Function, Fault> {
    let name = call.input.text("FunctionName").unwrap_or_default();
    let qualifier = call.input.text("Qualifier");
    find(world, &call.region, name)
        .filter(|_| qualifier.is_none_or(|qualifier| qualifier == "$LATEST"))
        .ok_or_else(|| missing(world, call))
}

fn missing(world: &World, call: &Call) -> Fault {
    let name = call.input.text("FunctionName").unwrap_or_default();
    let message = format!("Function not found: {}", arn(world, &call.region, name));
    Fault::new("ResourceNotFoundException", message).status(404)
}

fn wrong(message: &str) -> Fault {
    Fault::new("InvalidParameterValueException", message)
}

fn raw(status: u16, value: &Value) -> Reply {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reply::Raw(status, headers, value.to_string().into())
}

/// Name and qualifier of `name`, `name:qualifier`, `account:function:name` or an ARN.
fn parts(name: &str) -> (&str, Option<&str>) {
    let rest = match name.split_once(":function:") {
        Some((_, rest)) => rest,
        None => name.strip_prefix("function:").unwrap_or(name),
    };
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(legal)
}

fn configuration(world: &World, function: &Function) -> Value {
    let given = |member: &str, default: Value| {
        let given = function
            .settings
            .get(member)
            .filter(|value| !value.is_null());
        given.cloned().unwrap_or(default)
    };
    let (size, digest) = &function.code;
    let mut shape = json!({
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Role": function.role,
        "CodeSize": size,
        "CodeSha256": digest,
        "Description": given("Description", json!("")),
        "Timeout": given("Timeout", json!(3)),
        "MemorySize": given("MemorySize", json!(128)),
        "LastModified": modified(function.created),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": given("PackageType", json!("Zip")),
        "Architectures": given("Architectures", json!(["x86_64"])),
        "EphemeralStorage": {"Size": 512},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": group_of(&function.name)},
    });
    for member in ["Runtime", "Handler"] {
        if let Some(value) = function.settings.text(member) {
            shape[member] = json!(value);
        }
    }
    match world.now < function.created + CREATING {
        true => {
            shape["State"] = json!("Pending");
            shape["StateReason"] = json!("The function is being created.");
            shape["StateReasonCode"] = json!("Creating");
        }
        false => {
            shape["State"] = json!("Active");
            shape["LastUpdateStatus"] = json!("Successful");
        }
    }
    if let Some(environment) = function.settings.get("Environment") {
        shape["Environment"] =
            json!({"Variables": environment.get("Variables").cloned().unwrap_or(json!({}))});
    }
    shape
}

/// Lambda writes times as text, in its own way.
fn modified(at: Millis) -> String {
    let iso = clock::iso(at);
    let seconds = iso
        .trim_end_matches('Z')
        .split('.')
        .next()
        .unwrap_or_default();
    format!("{seconds}.000+0000")
}

#[cfg(test)]
mod tests;

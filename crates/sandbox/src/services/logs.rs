//! CloudWatch Logs: groups, streams and events. Must not write to any log of its own: builds and tasks call `append`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::iam::evaluate::Context;
use crate::services::kms;
use crate::wire::page::{Page, page};
use crate::wire::{Call, Fault, Input as _, Reply};
use crate::world::{Tags, World};

/// The operations that the sandbox has.
pub const OPERATIONS: &[&str] = &[
    "AssociateKmsKey",
    "CreateLogGroup",
    "CreateLogStream",
    "DeleteLogGroup",
    "DeleteLogStream",
    "DeleteRetentionPolicy",
    "DescribeLogGroups",
    "DescribeLogStreams",
    "DisassociateKmsKey",
    "FilterLogEvents",
    "GetLogEvents",
    "ListTagsForResource",
    "ListTagsLogGroup",
    "PutLogEvents",
    "PutRetentionPolicy",
    "TagLogGroup",
    "TagResource",
    "UntagLogGroup",
    "UntagResource",
];

/// The retention times that CloudWatch Logs knows, in days.
const RETENTION: [i64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

const DAY: Millis = 24 * 60 * 60 * 1000;

/// How far back an event may lie when it is put, and how far ahead.
const TOO_OLD: Millis = 14 * DAY;
const TOO_NEW: Millis = 2 * 60 * 60 * 1000;

/// Bytes that CloudWatch Logs counts for each event beside its message.
const OVERHEAD: usize = 26;

/// The largest batch of `PutLogEvents`, overhead included.
const BATCH_LIMIT: usize = 1_048_576;

/// How many events one page has at most.
const EVENTS_PER_PAGE: i64 = 10_000;

/// CloudWatch Logs in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub groups: BTreeMap<String, Group>,
}

/// A log group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// When it was made.
    pub created: Millis,
    /// In days; `None` keeps for ever.
    pub retention: Option<i64>,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
    /// `STANDARD` or `INFREQUENT_ACCESS`.
    pub class: String,
    /// Whether it refuses to be deleted.
    pub protected: bool,
    /// Tags.
    pub tags: Tags,
    /// By name.
    pub streams: BTreeMap<String, Stream>,
}

/// A log stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stream {
    /// When it was made.
    pub created: Millis,
    /// In order of time.
    pub events: Vec<Event>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: Millis,
    /// When it came.
    pub ingested: Millis,
    /// The line.
    pub message: String,
}

pub(crate) fn call(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    match call.operation.as_str() {
        "AssociateKmsKey" => associate_kms_key(world, call),
        "CreateLogGroup" => create_log_group(world, call),
        "CreateLogStream" => create_log_stream(world, call),
        "DeleteLogGroup" => delete_log_group(world, call),
        "DeleteLogStream" => delete_log_stream(world, call),
        "DeleteRetentionPolicy" => delete_retention_policy(world, call),
        "DescribeLogGroups" => describe_log_groups(world, call),
        "DescribeLogStreams" => describe_log_streams(world, call),
        "DisassociateKmsKey" => disassociate_kms_key(world, call),
        "FilterLogEvents" => filter_log_events(world, call),
        "GetLogEvents" => get_log_events(world, call),
        "ListTagsForResource" => list_tags(world, call, Address::Arn),
        "ListTagsLogGroup" => list_tags(world, call, Address::Name),
        "PutLogEvents" => put_log_events(world, call),
        "PutRetentionPolicy" => put_retention_policy(world, call),
        "TagLogGroup" => tag(world, call, Address::Name),
        "TagResource" => tag(world, call, Address::Arn),
        "UntagLogGroup" => untag(world, call, Address::Name, "tags"),
        "UntagResource" => untag(world, call, Address::Arn, "tagKeys"),
        _ => Err(Fault::not_implemented(call)),
    }
}

/// Appends a line to a stream (made when missing). Nothing happens where there is no such group.
pub(crate) fn append(world: &mut World, region: &str, group: &str, stream: &str, message: &str) {
    let now = world.now;
    let Some(group) = world.at(region).logs.groups.get_mut(group) else {
        return;
    };
    let stream = group
        .streams
        .entry(stream.to_owned())
        .or_insert_with(|| Stream {
            created: now,
            events: Vec::new(),
        });
    stream.add(Event {
        at: now,
        ingested: now,
        message: message.to_owned(),
    });
}

impl Stream {
    /// Puts an event in its place by time, after those of the same time.
    fn add(&mut self, event: Event) {
        let index = self.events.partition_point(|other| other.at <= event.at);
        self.events.insert(index, event);
    }
}

impl Group {
    /// Whether an event is still kept.
    fn keeps(&self, event: &Event, now: Millis) -> bool {
        self.retention
            .is_none_or(|days| event.at > now - days * DAY)
    }

    fn bytes(&self) -> usize {
        let events = self.streams.values().flat_map(|stream| &stream.events);
        events.map(|event| event.message.len() + OVERHEAD).sum()
    }
}

/// How an operation names a group: by `resourceArn` or by `logGroupName`.
#[derive(Clone, Copy)]
enum Address {
    Arn,
    Name,
}

fn create_log_group(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = new_name(call)?.to_owned();
    let tags = new_tags(call)?;
    let class = call
        .input
        .text("logGroupClass")
        .unwrap_or("STANDARD")
        .to_owned();
    if !["STANDARD", "INFREQUENT_ACCESS"].contains(&class.as_str()) {
        return Err(invalid(format!(
            "the ecspipe sandbox has no log groups of class {class}"
        )));
    }
    if world.at(&call.region).logs.groups.contains_key(&name) {
        return Err(Fault::new(
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ));
    }
    let key = match call.input.text("kmsKeyId") {
        Some(key) => Some(checked_key(world, call, &name, key)?),
        None => None,
    };
    let group = Group {
        created: world.now,
        retention: None,
        key,
        class,
        protected: call
            .input
            .flag("deletionProtectionEnabled")
            .unwrap_or(false),
        tags,
        streams: BTreeMap::new(),
    };
    world.at(&call.region).logs.groups.insert(name, group);
    Ok(done())
}

fn delete_log_group(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "logGroupName")?;
    if group(world, call)?.protected {
        return Err(Fault::new(
            "ValidationException",
            "The log group is protected against deletion.",
        ));
    }
    world.at(&call.region).logs.groups.remove(name);
    Ok(done())
}

fn describe_log_groups(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let (prefix, pattern) = (
        call.input.text("logGroupNamePrefix"),
        call.input.text("logGroupNamePattern"),
    );
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let class = call.input.text("logGroupClass");
    let identifiers: Vec<String> = call
        .input
        .texts("logGroupIdentifiers")
        .iter()
        .map(|id| name_of(id))
        .collect();
    let groups = world.at(&call.region).logs.groups.clone();
    let wanted = groups.iter().filter(|(name, group)| {
        prefix.is_none_or(|prefix| name.starts_with(prefix))
            && pattern.is_none_or(|pattern| name.to_lowercase().contains(&pattern.to_lowercase()))
            && class.is_none_or(|class| class == group.class)
            && (identifiers.is_empty() || identifiers.contains(name))
    });
    let entries = wanted.map(|(name, group)| (name.clone(), group_entry(world, call, name, group)));
    let cut = cut(call, entries, 50)?;
    Ok(Reply::Value(listed("logGroups", cut)))
}

fn group_entry(world: &World, call: &Call, name: &str, group: &Group) -> Value {
    let arn = world.arn("logs", &call.region, &format!("log-group:{name}"));
    let mut entry = json!({
        "logGroupName": name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": group.bytes(),
        "logGroupClass": group.class,
        "deletionProtectionEnabled": group.protected,
    });
    if let Some(days) = group.retention {
        entry["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.key {
        entry["kmsKeyId"] = json!(key);
    }
    entry
}

fn put_retention_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let days = call
        .input
        .int("retentionInDays")
        .filter(|days| RETENTION.contains(days));
    let days = days.ok_or_else(|| {
        let valid: Vec<String> = RETENTION.iter().map(ToString::to_string).collect();
        invalid(format!(
            "1 validation error detected: Value at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            valid.join(", ")
        ))
    })?;
    group_mut(world, call)?.retention = Some(days);
    Ok(done())
}

fn delete_retention_policy(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    group_mut(world, call)?.retention = None;
    Ok(done())
}

fn associate_kms_key(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = group_name(call)?;
    let key = checked_key(world, call, &name, required(call, "kmsKeyId")?)?;
    group_mut(world, call)?.key = Some(key);
    Ok(done())
}

fn disassociate_kms_key(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    group_mut(world, call)?.key = None;
    Ok(done())
}

/// The key's ARN, if CloudWatch Logs may encrypt with it.
fn checked_key(world: &World, call: &Call, group: &str, key: &str) -> Result<String, Fault> {
    let service = format!("logs.{}.{}", call.region, domain(&call.region));
    let arn = world.arn("logs", &call.region, &format!("log-group:{group}"));
    let context = Context::from([
        ("kms:EncryptionContext:aws:logs:arn", arn.as_str()),
        ("kms:EncryptionContextKeys", "aws:logs:arn"),
    ]);
    let usable = kms::usable(world, &call.region, key).is_ok()
        && kms::lets(world, &call.region, key, &service, &context);
    match kms::arn(world, &call.region, key).filter(|_| usable) {
        Some(arn) => Ok(arn),
        None => {
            let message = format!(
                "The specified KMS key does not exist or is not allowed to be used with Arn '{arn}'"
            );
            Err(invalid(message))
        }
    }
}

fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

fn create_log_stream(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "logStreamName")?.to_owned();
    if name.len() > 512 || name.contains([':', '*']) {
        return Err(invalid(
            "Value at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*",
        ));
    }
    let now = world.now;
    let group = group_mut(world, call)?;
    if group.streams.contains_key(&name) {
        return Err(Fault::new(
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ));
    }
    group.streams.insert(
        name,
        Stream {
            created: now,
            events: Vec::new(),
        },
    );
    Ok(done())
}

fn delete_log_stream(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "logStreamName")?;
    group_mut(world, call)?
        .streams
        .remove(name)
        .ok_or_else(no_stream)?;
    Ok(done())
}

fn describe_log_streams(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let prefix = call.input.text("logStreamNamePrefix");
    let by_time = call.input.text("orderBy") == Some("LastEventTime");
    if by_time && prefix.is_some() {
        return Err(invalid(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let descending = call.input.flag("descending").unwrap_or(false);
    let (group_name, group) = (group_name(call)?, group(world, call)?.clone());
    let wanted = group
        .streams
        .iter()
        .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)));
    let mut streams: Vec<(&String, &Stream)> = wanted.collect();
    if by_time {
        streams.sort_by_key(|(name, stream)| {
            (
                stream
                    .events
                    .last()
                    .map_or(stream.created, |event| event.at),
                *name,
            )
        });
    }
    if descending {
        streams.reverse();
    }
    let entry = |(index, (name, stream)): (usize, (&String, &Stream))| {
        let arn = world.arn(
            "logs",
            &call.region,
            &format!("log-group:{group_name}:log-stream:{name}"),
        );
        let mut entry = json!({"logStreamName": name, "creationTime": stream.created, "arn": arn, "storedBytes": 0});
        if let (Some(first), Some(last)) = (stream.events.first(), stream.events.last()) {
            entry["firstEventTimestamp"] = json!(first.at);
            entry["lastEventTimestamp"] = json!(last.at);
            entry["lastIngestionTime"] = json!(last.ingested);
        }
        // The order isn't always by name, so a page is remembered by position.
        (format!("{index:08}"), entry)
    };
    let entries: Vec<(String, Value)> = streams.into_iter().enumerate().map(entry).collect();
    let cut = cut(call, entries, 50)?;
    Ok(Reply::Value(listed("logStreams", cut)))
}

fn put_log_events(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let now = world.now;
    let events = call.input.list("logEvents");
    if events.is_empty() || events.len() > 10_000 {
        return Err(invalid(
            "Log events in a single PutLogEvents request must number between 1 and 10000.",
        ));
    }
    let read = |event: &Value| Some((event.int("timestamp")?, event.text("message")?.to_owned()));
    let events: Option<Vec<(Millis, String)>> = events.iter().map(read).collect();
    let events =
        events.ok_or_else(|| invalid("Log events must have a timestamp and a message."))?;
    if events
        .iter()
        .map(|(_, message)| message.len() + OVERHEAD)
        .sum::<usize>()
        > BATCH_LIMIT
    {
        return Err(invalid(
            "Upload too large: the maximum batch size is 1048576 bytes.",
        ));
    }
    if events.windows(2).any(|pair| pair[0].0 > pair[1].0) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let name = required(call, "logStreamName")?.to_owned();
    let group = group_mut(world, call)?;
    let expires = group.retention.map(|days| now - days * DAY);
    let stream = group.streams.get_mut(&name).ok_or_else(no_stream)?;
    let mut rejected = serde_json::Map::new();
    for (index, (at, message)) in events.into_iter().enumerate() {
        // Of the too new the first is named, of the others the one after the last.
        if at > now + TOO_NEW {
            rejected
                .entry("tooNewLogEventStartIndex")
                .or_insert(json!(index));
        } else if at < now - TOO_OLD {
            rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(index + 1));
        } else if expires.is_some_and(|expires| at <= expires) {
            rejected.insert("expiredLogEventEndIndex".to_owned(), json!(index + 1));
        } else {
            stream.add(Event {
                at,
                ingested: now,
                message,
            });
        }
    }
    let mut answer = json!({"nextSequenceToken": format!("{:056}", stream.events.len())});
    if !rejected.is_empty() {
        answer["rejectedLogEventsInfo"] = Value::Object(rejected);
    }
    Ok(Reply::Value(answer))
}

/// Tokens are `f/N` and `b/N`: the position to read on from, forwards or backwards. At the end the same token comes back.
fn get_log_events(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let name = required(call, "logStreamName")?;
    let limit = event_limit(call)?;
    let now = world.now;
    let group = group(world, call)?;
    let stream = group.streams.get(name).ok_or_else(no_stream)?;
    let events: Vec<&Event> = stream
        .events
        .iter()
        .filter(|event| within(call, event) && group.keeps(event, now))
        .collect();
    let (start, end) = match call.input.text("nextToken") {
        Some(token) => {
            let position = token
                .split_once('/')
                .and_then(|(way, number)| Some((way, number.parse::<usize>().ok()?)));
            match position {
                Some(("f", at)) => (at.min(events.len()), (at + limit).min(events.len())),
                Some(("b", at)) => (
                    at.min(events.len()).saturating_sub(limit),
                    at.min(events.len()),
                ),
                _ => return Err(invalid("The specified nextToken is invalid.")),
            }
        }
        None if call.input.flag("startFromHead").unwrap_or(false) => (0, limit.min(events.len())),
        None => (events.len().saturating_sub(limit), events.len()),
    };
    let shown = |event: &&Event| json!({"timestamp": event.at, "message": event.message, "ingestionTime": event.ingested});
    Ok(Reply::Value(json!({
        "events": events[start..end].iter().map(shown).collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{end:056}"),
        "nextBackwardToken": format!("b/{start:056}"),
    })))
}

fn filter_log_events(world: &mut World, call: &Call) -> Result<Reply, Fault> {
    let names = call.input.texts("logStreamNames");
    let prefix = call.input.text("logStreamNamePrefix");
    if !names.is_empty() && prefix.is_some() {
        return Err(invalid(
            "logStreamNamePrefix and logStreamNames are mutually exclusive.",
        ));
    }
    let pattern = Pattern::read(call.input.text("filterPattern").unwrap_or_default())?;
    let limit = event_limit(call)?;
    let now = world.now;
    let group = group(world, call)?;
    if let Some(missing) = names.iter().find(|name| !group.streams.contains_key(*name)) {
        return Err(Fault::new(
            "ResourceNotFoundException",
            format!("The specified log stream does not exist: {missing}"),
        ));
    }
    let streams = group.streams.iter().filter(|(name, _)| {
        (names.is_empty() || names.contains(name))
            && prefix.is_none_or(|prefix| name.starts_with(prefix))
    });
    let mut found: Vec<(String, Value)> = Vec::new();
    for (name, stream) in streams {
        for (index, event) in stream.events.iter().enumerate() {
            if !within(call, event) || !group.keeps(event, now) || !pattern.matches(&event.message)
            {
                continue;
            }
            let order = format!("{:020}/{name}/{index:08}", event.at);
            let entry = json!({
                "logStreamName": name,
                "timestamp": event.at,
                "message": event.message,
                "ingestionTime": event.ingested,
                "eventId": hex::encode(&order),
            });
            found.push((order, entry));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let cut = page(found, call.input.text("nextToken"), limit).ok_or_else(bad_token)?;
    let mut answer = listed("events", cut);
    answer["searchedLogStreams"] = json!([]);
    Ok(Reply::Value(answer))
}

/// A filter pattern of plain terms: all must be in the line, those after `-` must not.
struct Pattern {
    present: Vec<String>,
    absent: Vec<String>,
}

impl Pattern {
    fn read(text: &str) -> Result<Self, Fault> {
        let mut pattern = Self {
            present: Vec::new(),
            absent: Vec::new(),
        };
        if text.starts_with(['{', '[', '%']) || text.contains('?') {
            let message =
                "the ecspipe sandbox matches filter patterns of plain and quoted terms only";
            return Err(Fault::new("InvalidParameterException", message));
        }
        let mut rest = text.trim();
        while !rest.is_empty() {
            let negated = rest.starts_with('-');
            rest = rest.strip_prefix('-').unwrap_or(rest);
            let (term, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| invalid("Invalid filter pattern"))?,
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            let terms = if negated {
                &mut pattern.absent
            } else {
                &mut pattern.present
            };
            terms.push(term.to_owned());
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    fn matches(&self, message: &str) -> bool {
        self.present.iter().all(|term| message.contains(term))
            && !self.absent.iter().any(|term| message.contains(term))
    }
}

/// `startTime` is included, `endTime` isn't.
fn within(call: &Call, event: &Event) -> bool {
    call.input
        .int("startTime")
        .is_none_or(|start| event.at >= start)
        && call.input.int("endTime").is_none_or(|end| event.at < end)
}

fn event_limit(call: &Call) -> Result<usize, Fault> {
    match call.input.int("limit") {
        None => Ok(EVENTS_PER_PAGE as usize),
        Some(limit) if (1..=EVENTS_PER_PAGE).contains(&limit) => Ok(limit as usize),
        Some(limit) => Err(invalid(format!(
            "limit must be 1 to {EVENTS_PER_PAGE}, not {limit}"
        ))),
    }
}

fn tag(world: &mut World, call: &Call, address: Address) -> Result<Reply, Fault> {
    let tags = new_tags(call)?;
    let group = addressed(world, call, address)?;
    let mut all = group.tags.clone();
    all.extend(tags);
    if all.len() > 50 {
        return Err(Fault::new(
            "TooManyTagsException",
            "A log group has at most 50 tags.",
        ));
    }
    group.tags = all;
    Ok(done())
}

fn untag(world: &mut World, call: &Call, address: Address, member: &str) -> Result<Reply, Fault> {
    let keys = call.input.texts(member);
    addressed(world, call, address)?
        .tags
        .retain(|key, _| !keys.contains(key));
    Ok(done())
}

fn list_tags(world: &mut World, call: &Call, address: Address) -> Result<Reply, Fault> {
    Ok(Reply::Value(
        json!({"tags": addressed(world, call, address)?.tags}),
    ))
}

fn addressed<'a>(
    world: &'a mut World,
    call: &Call,
    address: Address,
) -> Result<&'a mut Group, Fault> {
    let name = match address {
        Address::Name => required(call, "logGroupName")?.to_owned(),
        Address::Arn => {
            let arn = required(call, "resourceArn")?;
            if !arn.contains(":log-group:") || arn.ends_with(":*") {
                return Err(invalid(format!(
                    "ResourceArn {arn} is not the ARN of a log group, which has no :* at its end"
                )));
            }
            name_of(arn)
        }
    };
    world
        .at(&call.region)
        .logs
        .groups
        .get_mut(&name)
        .ok_or_else(no_group)
}

/// The name in a group's ARN, or the name itself.
fn name_of(identifier: &str) -> String {
    let name = identifier
        .split_once(":log-group:")
        .map_or(identifier, |(_, rest)| rest);
    name.strip_suffix(":*").unwrap_or(name).to_owned()
}

/// The group that `logGroupName`, `logGroupIdentifier` or `resourceIdentifier` names.
fn group_name(call: &Call) -> Result<String, Fault> {
    let members = ["logGroupName", "logGroupIdentifier", "resourceIdentifier"];
    let name = members.iter().find_map(|member| call.input.text(member));
    name.map(name_of)
        .ok_or_else(|| invalid("Either logGroupName or logGroupIdentifier must be given."))
}

fn group<'a>(world: &'a mut World, call: &Call) -> Result<&'a Group, Fault> {
    group_mut(world, call).map(|group| &*group)
}

fn group_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Group, Fault> {
    let name = group_name(call)?;
    world
        .at(&call.region)
        .logs
        .groups
        .get_mut(&name)
        .ok_or_else(no_group)
}

fn new_name(call: &Call) -> Result<&str, Fault> {
    let name = required(call, "logGroupName")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    if name.len() > 512 || !name.chars().all(legal) {
        let message = format!(
            "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        );
        return Err(invalid(message));
    }
    match name.starts_with("aws/") {
        true => Err(invalid(
            "Log groups starting with AWS/ are reserved for AWS.",
        )),
        false => Ok(name),
    }
}

fn new_tags(call: &Call) -> Result<Tags, Fault> {
    let tags = call.input.get("tags").and_then(Value::as_object);
    let mut all = Tags::new();
    for (key, value) in tags.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "tag keys have 1 to 128 characters and values at most 256",
            ));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(invalid("tag keys beginning with aws: are reserved"));
        }
        all.insert(key.clone(), value.to_owned());
    }
    match all.len() > 50 {
        true => Err(invalid("A log group has at most 50 tags.")),
        false => Ok(all),
    }
}

fn cut(
    call: &Call,
    items: impl IntoIterator<Item = (String, Value)>,
    most: i64,
) -> Result<Page<Value>, Fault> {
    let limit = call.input.int("limit").unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(invalid(format!("limit must be 1 to {most}, not {limit}")));
    }
    page(items, call.input.text("nextToken"), limit as usize).ok_or_else(bad_token)
}

fn listed(list: &str, cut: Page<Value>) -> Value {
    let mut answer = json!({list: cut.items});
    if let Some(next) = cut.next {
        answer["nextToken"] = json!(next);
    }
    answer
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Fault> {
    let text = call.input.text(name).filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(format!("The request must contain the parameter {name}")))
}

fn done() -> Reply {
    Reply::Value(Value::Null)
}

fn no_group() -> Fault {
    Fault::new(
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
}

fn no_stream() -> Fault {
    Fault::new(
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
}

fn bad_token() -> Fault {
    invalid("The specified nextToken is invalid.")
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sandbox;
    use crate::clock::EPOCH;
    use crate::testing::{self, REGION, pass, sandbox};

    async fn logs(
        sandbox: &Sandbox,
        operation: &str,
        input: Value,
    ) -> Result<Value, (u16, String)> {
        testing::call(sandbox, "logs", operation, input).await
    }

    async fn with_group() -> Sandbox {
        let sandbox = sandbox();
        logs(
            &sandbox,
            "CreateLogGroup",
            json!({"logGroupName": "/ecs/web", "tags": {"a": "b"}}),
        )
        .await
        .unwrap();
        sandbox
    }

    fn refused(code: &str) -> Result<Value, (u16, String)> {
        Err((400, code.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn groups_are_listed_by_prefix() {
        let sandbox = with_group().await;
        for name in ["/ecs/web2", "/other"] {
            logs(&sandbox, "CreateLogGroup", json!({"logGroupName": name}))
                .await
                .unwrap();
        }
        let mut input = json!({"logGroupNamePrefix": "/ecs/", "limit": 1});
        let first = logs(&sandbox, "DescribeLogGroups", input.clone())
            .await
            .unwrap();
        assert_eq!(
            first["logGroups"][0]["arn"],
            "arn:aws:logs:eu-central-1:111122223333:log-group:/ecs/web:*"
        );
        assert_eq!(
            first["logGroups"][0]["logGroupArn"],
            "arn:aws:logs:eu-central-1:111122223333:log-group:/ecs/web"
        );
        input["nextToken"] = first["nextToken"].clone();
        let second = logs(&sandbox, "DescribeLogGroups", input).await.unwrap();
        assert_eq!(
            (
                &second["logGroups"][0]["logGroupName"],
                second.get("nextToken")
            ),
            (&json!("/ecs/web2"), None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn names_and_retention_are_checked() {
        let sandbox = with_group().await;
        let create = |name: &str| logs(&sandbox, "CreateLogGroup", json!({"logGroupName": name}));
        assert_eq!(
            create("/ecs/web").await,
            refused("ResourceAlreadyExistsException")
        );
        assert_eq!(create("a b").await, refused("InvalidParameterException"));
        assert_eq!(create("aws/x").await, refused("InvalidParameterException"));
        let retain = |days: i64| {
            logs(
                &sandbox,
                "PutRetentionPolicy",
                json!({"logGroupName": "/ecs/web", "retentionInDays": days}),
            )
        };
        assert_eq!(retain(2).await, refused("InvalidParameterException"));
        assert_eq!(retain(0).await, refused("InvalidParameterException"));
        retain(14).await.unwrap();
        let groups = logs(&sandbox, "DescribeLogGroups", json!({}))
            .await
            .unwrap();
        assert_eq!(groups["logGroups"][0]["retentionInDays"], 14);
    }

    #[tokio::test(start_paused = true)]
    async fn tags_have_two_sets_of_operations() {
        let sandbox = with_group().await;
        let arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/ecs/web";
        logs(
            &sandbox,
            "TagResource",
            json!({"resourceArn": arn, "tags": {"c": "d"}}),
        )
        .await
        .unwrap();
        let old = logs(
            &sandbox,
            "ListTagsLogGroup",
            json!({"logGroupName": "/ecs/web"}),
        )
        .await
        .unwrap();
        assert_eq!(old, json!({"tags": {"a": "b", "c": "d"}}));
        logs(
            &sandbox,
            "UntagResource",
            json!({"resourceArn": arn, "tagKeys": ["a"]}),
        )
        .await
        .unwrap();
        let new = logs(&sandbox, "ListTagsForResource", json!({"resourceArn": arn}))
            .await
            .unwrap();
        assert_eq!(new, json!({"tags": {"c": "d"}}));
        let star = json!({"resourceArn": format!("{arn}:*")});
        assert_eq!(
            logs(&sandbox, "ListTagsForResource", star).await,
            refused("InvalidParameterException")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_read_to_its_end_and_on() {
        let sandbox = with_group().await;
        for line in ["1", "2", "3"] {
            append(&mut sandbox.world(), REGION, "/ecs/web", "task/1", line);
        }
        append(&mut sandbox.world(), REGION, "/none", "task/1", "lost");
        let read = |token: Value| {
            let input = json!({"logGroupName": "/ecs/web", "logStreamName": "task/1", "startFromHead": true, "limit": 2, "nextToken": token});
            logs(&sandbox, "GetLogEvents", input)
        };
        let lines = |answer: &Value| -> Vec<String> {
            answer["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["message"].as_str().unwrap().to_owned())
                .collect()
        };
        let first = read(Value::Null).await.unwrap();
        let second = read(first["nextForwardToken"].clone()).await.unwrap();
        let third = read(second["nextForwardToken"].clone()).await.unwrap();
        assert_eq!(
            (lines(&first), lines(&second), lines(&third)),
            (vec!["1".into(), "2".into()], vec!["3".into()], vec![])
        );
        assert_eq!(second["nextForwardToken"], third["nextForwardToken"]);
        append(&mut sandbox.world(), REGION, "/ecs/web", "task/1", "4");
        let fourth = read(third["nextForwardToken"].clone()).await.unwrap();
        assert_eq!(lines(&fourth), ["4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_filtered_across_streams() {
        let sandbox = with_group().await;
        for (stream, line) in [("b", "start web"), ("a", "start app"), ("b", "stop web")] {
            append(&mut sandbox.world(), REGION, "/ecs/web", stream, line);
            pass(10).await;
        }
        let filter = |mut input: Value| {
            input["logGroupName"] = json!("/ecs/web");
            logs(&sandbox, "FilterLogEvents", input)
        };
        let lines = |answer: Value| -> Vec<String> {
            answer["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["message"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            lines(filter(json!({})).await.unwrap()),
            ["start web", "start app", "stop web"]
        );
        assert_eq!(
            lines(filter(json!({"logStreamNamePrefix": "b"})).await.unwrap()),
            ["start web", "stop web"]
        );
        assert_eq!(
            lines(
                filter(json!({"startTime": EPOCH + 10_000, "endTime": EPOCH + 20_000}))
                    .await
                    .unwrap()
            ),
            ["start app"]
        );
        assert_eq!(
            lines(
                filter(json!({"filterPattern": "start -\"app\""}))
                    .await
                    .unwrap()
            ),
            ["start web"]
        );
        let first = filter(json!({"limit": 2})).await.unwrap();
        assert_eq!(
            lines(
                filter(json!({"limit": 2, "nextToken": first["nextToken"]}))
                    .await
                    .unwrap()
            ),
            ["stop web"]
        );
        let missing = filter(json!({"logStreamNames": ["none"]})).await;
        assert_eq!(missing, refused("ResourceNotFoundException"));
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_put_in_order_and_in_time() {
        let sandbox = with_group().await;
        let stream = json!({"logGroupName": "/ecs/web", "logStreamName": "s"});
        logs(&sandbox, "CreateLogStream", stream.clone())
            .await
            .unwrap();
        let put = |events: Value| {
            let mut input = stream.clone();
            input["logEvents"] = events;
            logs(&sandbox, "PutLogEvents", input)
        };
        let unordered =
            json!([{"timestamp": EPOCH, "message": "b"}, {"timestamp": EPOCH - 1, "message": "a"}]);
        assert_eq!(put(unordered).await, refused("InvalidParameterException"));
        let answer = put(json!([{"timestamp": EPOCH - 15 * DAY, "message": "old"}, {"timestamp": EPOCH, "message": "x"}])).await.unwrap();
        assert_eq!(
            answer["rejectedLogEventsInfo"],
            json!({"tooOldLogEventEndIndex": 1})
        );
        let streams = logs(
            &sandbox,
            "DescribeLogStreams",
            json!({"logGroupName": "/ecs/web"}),
        )
        .await
        .unwrap();
        assert_eq!(streams["logStreams"][0]["lastEventTimestamp"], EPOCH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_must_let_the_service_in() {
        let sandbox = sandbox();
        let root = json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"});
        let service = json!({"Effect": "Allow", "Principal": {"Service": "logs.eu-central-1.amazonaws.com"}, "Action": "kms:GenerateDataKey*", "Resource": "*"});
        for (statements, works) in [(json!([root]), false), (json!([root, service]), true)] {
            let policy = json!({"Statement": statements}).to_string();
            let key = testing::call(&sandbox, "kms", "CreateKey", json!({"Policy": policy}))
                .await
                .unwrap();
            let input = json!({"logGroupName": "g", "kmsKeyId": key["KeyMetadata"]["Arn"]});
            assert_eq!(logs(&sandbox, "CreateLogGroup", input).await.is_ok(), works);
        }
    }
}

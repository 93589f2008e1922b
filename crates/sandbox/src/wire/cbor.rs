//! Smithy's RPC v2 CBOR, the protocol of CloudWatch: the operation is in the path, bodies are CBOR maps. Must not know any
//! service's state.

use bytes::Bytes;
use ciborium::Value as Cbor;
use http::Request;
use serde_json::{Map, Number, Value};

use super::Fault;

/// The header that names the protocol, in requests and answers.
pub(crate) const HEADER: &str = "smithy-protocol";
/// What it says.
pub(crate) const NAME: &str = "rpc-v2-cbor";
/// The media type of bodies.
pub(crate) const MEDIA: &str = "application/cbor";
/// The tag of a time in seconds since 1970 (RFC 8949 §3.4.2).
const EPOCH_TIME: u64 = 1;

/// Whether a request speaks this protocol.
pub(crate) fn is(request: &Request<Bytes>) -> bool {
    request
        .headers()
        .get(HEADER)
        .is_some_and(|value| value == NAME)
}

/// Operation and input: `POST /service/GraniteServiceVersion20100801/operation/DescribeAlarms`. Times become seconds.
pub(crate) fn input(request: &Request<Bytes>) -> Result<(String, Value), Fault> {
    let path = request.uri().path();
    let operation = path.rsplit('/').next().unwrap_or_default().to_owned();
    if request.body().is_empty() {
        return Ok((operation, Value::Object(Map::new())));
    }
    let bad = |reason: String| Fault::new("SerializationException", reason);
    let cbor: Cbor = ciborium::from_reader(request.body().as_ref())
        .map_err(|error| bad(format!("the body is not CBOR: {error}")))?;
    let input =
        json(cbor).ok_or_else(|| bad("the body is no value of this protocol".to_owned()))?;
    Ok((operation, input))
}

/// An answer's body. Members whose name ends like a time's are written as times.
pub(crate) fn body(value: &Value) -> Bytes {
    let empty = Value::Object(Map::new());
    let value = if value.is_null() { &empty } else { value };
    let mut bytes = Vec::new();
    match ciborium::into_writer(&cbor(value, false), &mut bytes) {
        Ok(()) => bytes.into(),
        // Writing into memory can't fail.
        Err(_) => Bytes::new(),
    }
}

/// An answer's body as JSON, for whoever records exchanges.
pub(crate) fn shown(body: &[u8]) -> Option<Value> {
    json(ciborium::from_reader(body).ok()?)
}

fn is_time(member: &str) -> bool {
    member.ends_with("Timestamp")
        || member == "Timestamps"
        || member == "StartTime"
        || member == "EndTime"
}

fn cbor(value: &Value, time: bool) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::Number(number) if time => Cbor::Tag(
            EPOCH_TIME,
            Box::new(Cbor::Float(number.as_f64().unwrap_or_default())),
        ),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| cbor(item, time)).collect()),
        Value::Object(members) => Cbor::Map(
            members
                .iter()
                // A member that is absent isn't written as nothing: clients take that for a wrong type.
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (Cbor::Text(name.clone()), cbor(value, is_time(name))))
                .collect(),
        ),
    }
}

fn json(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Integer(whole) => Value::Number(i64::try_from(i128::from(whole)).ok()?.into()),
        Cbor::Float(number) => Value::Number(Number::from_f64(number)?),
        Cbor::Text(text) => Value::String(text),
        Cbor::Tag(EPOCH_TIME, seconds) => json(*seconds)?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(json).collect::<Option<_>>()?),
        Cbor::Map(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| Some((name.into_text().ok()?, json(value)?)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let value = json!({"Name": "a", "Threshold": 1.5, "Period": 60, "On": true, "List": [{"Value": 2.0}], "UpdatedTimestamp": 1.5});
        assert_eq!(shown(&body(&value)).unwrap(), value);
        assert_eq!(shown(&body(&Value::Null)).unwrap(), json!({}));
    }

    #[test]
    fn a_time_is_tagged_and_what_is_absent_is_left_out() {
        let bytes = body(&json!({"StateUpdatedTimestamp": 1, "Reason": null}));
        let cbor: Cbor = ciborium::from_reader(bytes.as_ref()).unwrap();
        let expected = Cbor::Map(vec![(
            Cbor::Text("StateUpdatedTimestamp".to_owned()),
            Cbor::Tag(1, Box::new(Cbor::Float(1.0))),
        )]);
        assert_eq!(cbor, expected);
    }
}

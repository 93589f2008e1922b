//! Answers and errors as XML, and XML bodies read. Must not know any operation.

use std::fmt::Write as _;

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::{Call, Fault, Protocol, REQUEST_ID};

/// The whole answer of a query, EC2 or REST operation.
pub fn document(call: &Call, value: &Value) -> String {
    let operation = &call.operation;
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name_space = name_space(&call.service);
    match call.protocol {
        Protocol::Ec2 => {
            let _ = write!(
                body,
                "<{operation}Response xmlns=\"{name_space}\"><requestId>{REQUEST_ID}</requestId>"
            );
            members(&mut body, value, Lists::Item);
            let _ = write!(body, "</{operation}Response>");
        }
        Protocol::RestXml => {
            // The value is one object with one member: the root element.
            if let Some((root, content)) = value.as_object().and_then(|object| object.iter().next())
            {
                let _ = write!(body, "<{root} xmlns=\"{name_space}\">");
                members(&mut body, content, Lists::Repeated);
                let _ = write!(body, "</{root}>");
            }
        }
        _ => {
            let _ = write!(body, "<{operation}Response xmlns=\"{name_space}\">");
            if !value.is_null() {
                let _ = write!(body, "<{operation}Result>");
                members(&mut body, value, Lists::Member);
                let _ = write!(body, "</{operation}Result>");
            }
            let _ = write!(
                body,
                "<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{operation}Response>"
            );
        }
    }
    body
}

/// An XML document as a value: `{"Root": {"Name": "text", "Repeated": ["a", "b"]}}`. Attributes and name-space prefixes
/// are dropped; an empty element is an empty string. The error says what is wrong with the document.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => open.push(Element::named(tag.local_name().as_ref())),
            Event::Empty(tag) => close(&mut open, Element::named(tag.local_name().as_ref())),
            Event::End(_) => match open.pop() {
                Some(element) => close(&mut open, element),
                None => return Err("an element ends that never began".to_owned()),
            },
            Event::Text(part) => say(&mut open, &part.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(part) => say(&mut open, &part.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(reference) => match reference
                .resolve_char_ref()
                .map_err(|error| error.to_string())?
            {
                Some(character) => say(&mut open, &character.to_string()),
                None => {
                    let name = reference.xml_content(XmlVersion::Implicit1_0);
                    let text = resolve_predefined_entity(&name)
                        .ok_or_else(|| format!("unknown entity &{name};"))?;
                    say(&mut open, text);
                }
            },
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) if root.children.len() == 1 => Ok(Value::Object(root.children)),
        (_, false) => Err("the document ends within an element".to_owned()),
        _ => Err("the document has no root element".to_owned()),
    }
}

/// The elements of that name within a parsed element: none, one or many.
pub fn many<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value.get(name) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    name: String,
    text: String,
    children: Map<String, Value>,
}

impl Element {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

fn say(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Puts a finished element into the one around it.
fn close(open: &mut [Element], element: Element) {
    // Text between child elements is indentation.
    let value = if element.children.is_empty() {
        Value::String(element.text)
    } else {
        Value::Object(element.children)
    };
    let Some(around) = open.last_mut() else {
        return;
    };
    match around.children.get_mut(&element.name) {
        None => {
            around.children.insert(element.name, value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let first_value = first.take();
            *first = Value::Array(vec![first_value, value]);
        }
    }
}

/// An error in the form of the call's protocol.
pub fn fault(call: &Call, fault: &Fault) -> String {
    let code = escape(&fault.code);
    let message = escape(&fault.message);
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    match call.protocol {
        Protocol::Ec2 => format!(
            "{head}<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
        ),
        Protocol::RestXml => format!(
            "{head}<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{REQUEST_ID}</RequestId></Error>"
        ),
        _ => {
            let kind = if fault.status < 500 {
                "Sender"
            } else {
                "Receiver"
            };
            let name_space = name_space(&call.service);
            format!(
                "{head}<ErrorResponse xmlns=\"{name_space}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
            )
        }
    }
}

#[derive(Clone, Copy)]
enum Lists {
    Member,
    Item,
    Repeated,
}

fn members(out: &mut String, value: &Value, lists: Lists) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                element(out, name, value, lists);
            }
        }
        Value::Null => {}
        other => out.push_str(&scalar(other)),
    }
}

fn element(out: &mut String, name: &str, value: &Value, lists: Lists) {
    match (value, lists) {
        (Value::Null, _) => {}
        (Value::Array(items), Lists::Repeated) => {
            for item in items {
                element(out, name, item, lists);
            }
        }
        (Value::Array(items), _) => {
            let inner = if matches!(lists, Lists::Item) {
                "item"
            } else {
                "member"
            };
            let _ = write!(out, "<{name}>");
            for item in items {
                element(out, inner, item, lists);
            }
            let _ = write!(out, "</{name}>");
        }
        _ => {
            let _ = write!(out, "<{name}>");
            members(out, value, lists);
            let _ = write!(out, "</{name}>");
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text).into_owned(),
        other => other.to_string(),
    }
}

fn name_space(service: &str) -> &'static str {
    match service {
        "ec2" => "http://ec2.amazonaws.com/doc/2016-11-15/",
        "elasticloadbalancing" => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://s3.amazonaws.com/doc/2006-03-01/",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn call(protocol: Protocol, service: &str, operation: &str) -> Call {
        Call {
            protocol,
            service: service.to_owned(),
            operation: operation.to_owned(),
            region: "eu-central-1".to_owned(),
            access_key: String::new(),
            input: Value::Null,
            http: super::super::Http::default(),
        }
    }

    #[test]
    fn each_protocol_writes_lists_in_its_way() {
        let value = json!({"Names": ["a", "b<c"], "None": null, "Empty": [], "Flag": true});
        let query = document(&call(Protocol::Query, "iam", "GetX"), &value);
        assert!(query.contains(
            "<GetXResult><Names><member>a</member><member>b&lt;c</member></Names><Empty></Empty><Flag>true</Flag></GetXResult>"
        ));
        let ec2 = document(&call(Protocol::Ec2, "ec2", "DescribeX"), &value);
        assert!(ec2.contains("<Names><item>a</item><item>b&lt;c</item></Names><Empty></Empty><Flag>true</Flag></DescribeXResponse>"));
        let rest = document(
            &call(Protocol::RestXml, "s3", "GetX"),
            &json!({"Root": value}),
        );
        assert!(rest.ends_with(
            "2006-03-01/\"><Names>a</Names><Names>b&lt;c</Names><Flag>true</Flag></Root>"
        ));
    }

    #[test]
    fn a_query_answer_without_result_has_no_result_element() {
        let query = document(&call(Protocol::Query, "iam", "DeleteRole"), &Value::Null);
        assert!(!query.contains("DeleteRoleResult"));
        let query = document(&call(Protocol::Query, "iam", "TagX"), &json!({}));
        assert!(query.contains("<TagXResult></TagXResult>"));
    }

    #[test]
    fn bodies_are_read() {
        let text = r#"<?xml version="1.0"?><D xmlns="x"><!-- c --><Quiet>true</Quiet>
            <O><Key>a&amp;b&#x20;</Key></O> <O><Key><![CDATA[<c>]]></Key></O><E/></D>"#;
        let want = json!({"D": {"Quiet": "true", "O": [{"Key": "a&b "}, {"Key": "<c>"}], "E": ""}});
        assert_eq!(parse(text), Ok(want));
    }

    #[test]
    fn broken_bodies_are_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a>&nope;</a>",
            "</a>",
            "<a/><b/>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

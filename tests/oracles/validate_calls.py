"""Holds recorded AWS calls against botocore's service models.

Standard input: one call per line, as ecspipe_sandbox::Exchange serialises it:
    {"service": signing name, "operation": …, "method": …, "uri": path and query, "request_headers": {…},
     "request_body": text, "status": …, "response_headers": {…}, "response_body": text}
Standard output: {"checked": N, "operations": {"ecs.CreateCluster": N, …}, "problems": [{service, operation, side, text}],
"known": N, "unused": [entries]}, where known_findings.json (section "calls") explains `known` findings.
Exit code 1 if there is a problem. Must not talk to anything.
"""

import base64
import collections
import json
import re
import sys
import urllib.parse

import botocore.session
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

import forms
from known import Known
from shapes import Problems, check_json, check_text, check_xml, local, parse_xml, wire_name

# Services that sign under another name than botocore calls them.
SIGNING_NAMES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}

# Errors that every service may answer with, though no model lists them ("Common Errors" in the API references).
COMMON_ERRORS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "InternalError",
    "InternalServerError",
    "InvalidAction",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingParameter",
    "NotImplemented",
    "OptInRequired",
    "RequestExpired",
    "RequestLimitExceeded",
    "SerializationException",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
}

# EC2 and S3 list their error codes in prose only.
WITHOUT_ERROR_SHAPES = {"ec2", "s3"}

# Headers that belong to the protocol, not to a shape.
PROTOCOL_HEADERS = (
    "x-amz-bucket-region",
    "x-amz-checksum-",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
)

# A signature in the query, of a URL that somebody was given. Belongs to the protocol, too.
SIGNED_QUERY = {
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
}


def main():
    models = Models()
    known = Known("calls")
    operations = collections.Counter()
    problems = []
    checked = explained = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        call = json.loads(line)
        checked += 1
        name = f"{call['service']}.{call['operation']}"
        operations[name] += 1
        for side, text in check(models, call):
            if known.covers(service=call["service"], operation=call["operation"], side=side, text=text):
                explained += 1
            else:
                problems.append(
                    {
                        "call": number,
                        "service": call["service"],
                        "operation": call["operation"],
                        "side": side,
                        "text": text,
                    }
                )
    json.dump(
        {
            "checked": checked,
            "operations": dict(sorted(operations.items())),
            "problems": problems,
            "known": explained,
            "unused": known.unused(),
        },
        sys.stdout,
        indent=2,
    )
    print()
    return 1 if problems or checked == 0 else 0


class Models:
    """Service models, loaded once each: EC2's alone takes a second."""

    def __init__(self):
        self.session = botocore.session.get_session()
        self.loaded = {}

    def service(self, name):
        name = SIGNING_NAMES.get(name, name)
        if name not in self.loaded:
            self.loaded[name] = self.session.get_service_model(name)
        return self.loaded[name]


def check(models, call):
    """Yields (side, text) for each problem of one call."""
    service = models.service(call["service"])
    if call["operation"] not in service.operation_names:
        yield "request", f"{service.service_name} has no operation {call['operation']}"
        return
    operation = service.operation_model(call["operation"])
    for side, look in (("request", check_request), ("response", check_response)):
        problems = Problems()
        look(service, operation, call, problems)
        for text in problems.found:
            yield side, text


# ---- requests


def is_cbor(call):
    """Smithy's RPC v2: CloudWatch's clients choose it over the older protocol that botocore may resolve to."""
    return call["request_headers"].get("smithy-protocol") == "rpc-v2-cbor"


def check_request(service, operation, call, problems):
    protocol = service.resolved_protocol
    if is_cbor(call):
        value = cbor_request(service, operation, call, problems)
    elif protocol == "json":
        value = json_request(service, operation, call, problems)
    elif protocol in ("query", "ec2"):
        value = form_request(service, operation, call, problems)
    elif protocol == "rest-json":
        value = rest_json_request(operation, call, problems)
    else:
        rest_request(operation, call, problems)
        return
    if operation.input_shape is not None and value is not None:
        report = ParamValidator().validate(value, operation.input_shape)
        if report.has_errors():
            for line in report.generate_report().splitlines():
                problems.add("", line)


def json_request(service, operation, call, problems):
    target = f"{service.metadata['targetPrefix']}.{operation.name}"
    headers = call["request_headers"]
    if headers.get("x-amz-target") != target:
        problems.add("x-amz-target", f"is `{headers.get('x-amz-target')}`, must be `{target}`")
    want = f"application/x-amz-json-{service.metadata['jsonVersion']}"
    if headers.get("content-type") != want:
        problems.add("content-type", f"is `{headers.get('content-type')}`, must be `{want}`")
    value = json_body(call["request_body"], problems)
    if value is None or operation.input_shape is None:
        return None
    check_json(value, operation.input_shape, "", problems, is_input=True)
    return with_bytes(value, operation.input_shape)


def cbor_request(service, operation, call, problems):
    """The operation is in the path; bodies are recorded as the JSON that they stand for."""
    want = f"/service/{service.metadata['targetPrefix']}/operation/{operation.name}"
    if call["uri"] != want:
        problems.add("uri", f"is `{call['uri']}`, must be `{want}`")
    if call["request_headers"].get("content-type") != "application/cbor":
        problems.add("content-type", f"is `{call['request_headers'].get('content-type')}`, must be `application/cbor`")
    value = json_body(call["request_body"], problems)
    if value is None or operation.input_shape is None:
        return None
    check_json(value, operation.input_shape, "", problems, is_input=True)
    return with_bytes(value, operation.input_shape)


def form_request(service, operation, call, problems):
    pairs = urllib.parse.parse_qsl(call["request_body"], keep_blank_values=True, strict_parsing=False)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        problems.add("", "names a parameter twice")
    for name, want in (("Action", operation.name), ("Version", service.api_version)):
        have = parameters.pop(name, None)
        if have != want:
            problems.add(name, f"is `{have}`, must be `{want}`")
    if operation.input_shape is None:
        for name in parameters:
            problems.add(name, "is no parameter of this operation")
        return None
    return forms.decode(
        parameters, operation.input_shape, problems, is_ec2=service.resolved_protocol == "ec2"
    )


def rest_json_request(operation, call, problems):
    """The whole input: what the path and the query say, and the members of the body."""
    if call["method"] != operation.http["method"]:
        problems.add("method", f"is {call['method']}, must be {operation.http['method']}")
    template = operation.http["requestUri"].partition("?")[0].rstrip("/")
    path, _, query = call["uri"].partition("?")
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
    match = re.fullmatch(pattern, path.rstrip("/"))
    shape = operation.input_shape
    members = shape.members if shape is not None else {}
    if not match:
        problems.add("uri", f"is `{path}`, must be like `{template}`")
        return None
    placed = {wire_name(member, name): name for name, member in members.items() if member.serialization.get("location")}
    value = {placed[name]: urllib.parse.unquote(text) for name, text in match.groupdict().items()}
    for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in placed:
            problems.add(f"query.{name}", "is no parameter of this operation")
            continue
        member = members[placed[name]]
        check_text(text, member, f"query.{name}", problems)
        value[placed[name]] = int(text) if member.type_name == "integer" else text
    check_headers(call["request_headers"], members, problems, side="request")
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload or not call["request_body"]:
        return value
    body = json_body(call["request_body"], problems)
    if isinstance(body, dict):
        check_json({**match.groupdict(), **body}, shape, "", problems, is_input=True)
        value.update(with_bytes(body, shape))
    return value


def rest_request(operation, call, problems):
    if call["method"] != operation.http["method"]:
        problems.add("method", f"is {call['method']}, must be {operation.http['method']}")
    template, _, fixed = operation.http["requestUri"].partition("?")
    path, _, query = call["uri"].partition("?")
    given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    shape = operation.input_shape
    members = shape.members if shape is not None else {}
    by_query = {wire_name(m, n): m for n, m in members.items() if m.serialization.get("location") == "querystring"}
    fixed = dict(urllib.parse.parse_qsl(fixed, keep_blank_values=True))
    for name, value in fixed.items():
        if given.get(name) != value:
            problems.add("uri", f"lacks `{name}` of {operation.http['requestUri']}")
    is_signed = SIGNED_QUERY <= given.keys()
    if is_signed and "authorization" in call["request_headers"]:
        problems.add("header authorization", "is one signature too many: the query has one")
    for name, value in given.items():
        if name in by_query:
            check_text(value, by_query[name], f"query.{name}", problems)
        elif is_signed and name in SIGNED_QUERY:
            continue
        elif name not in fixed and name != "x-id":
            problems.add(f"query.{name}", "is no parameter of this operation")
    check_path(template, path, call["request_headers"].get("host", ""), problems)
    check_headers(call["request_headers"], members, problems, side="request")
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload and members[payload].type_name == "structure" and call["request_body"]:
        root = parse_xml(call["request_body"], "body", problems)
        if root is not None:
            want = wire_name(members[payload], payload)
            if local(root) != want:
                problems.add("body", f"is `{local(root)}`, must be `{want}`")
            check_xml(root, members[payload], local(root), problems)
    for name in shape.required_members if shape is not None else ():
        location = members[name].serialization.get("location")
        if location == "header" and wire_name(members[name], name).lower() not in call["request_headers"]:
            problems.add("", f"lacks the header of {name}")
        if location == "querystring" and wire_name(members[name], name) not in given:
            problems.add("", f"lacks the parameter of {name}")


def check_path(template, path, host, problems):
    """`/{Bucket}/{Key+}` against `/bucket/key`, or against `/key` where the host names the bucket."""
    parts = [part for part in path.split("/", 2)[1:] if part]
    in_host = ".s3." in host or ".s3-" in host
    have = len(parts) + (1 if in_host else 0)
    if in_host and len(parts) == 2:
        have = 2
    want = template.count("{")
    if min(have, 2) != want:
        problems.add("uri", f"is `{path}`, must be like `{template}`")


# ---- responses


def check_response(service, operation, call, problems):
    if call["status"] >= 300:
        # S3 answers a conditional read that finds nothing new with 304 and no body.
        if call["status"] != 304:
            check_error(service, operation, call, problems)
        return
    protocol = service.resolved_protocol
    shape = operation.output_shape
    body = call["response_body"]
    if is_cbor(call) or protocol == "json":
        value = json_body(body or "{}", problems)
        if value is not None and shape is not None:
            check_json(value, shape, "", problems, is_input=False)
        elif value and shape is None:
            problems.add("", "has a body, but the operation has no output")
    elif protocol == "query":
        check_query_response(operation, body, problems)
    elif protocol == "ec2":
        root = parse_xml(body, "body", problems)
        if root is not None:
            expect_root(root, f"{operation.name}Response", problems)
            if not any(local(child) == "requestId" for child in root):
                problems.add("requestId", "is missing")
            if shape is not None:
                check_xml(root, shape, "", problems, ignore=("requestId", "return"))
    elif protocol == "rest-json":
        check_rest_json_response(operation, call, problems)
    else:
        check_rest_response(operation, call, problems)
    # What is recorded of CBOR is the JSON that it stands for, which is no longer what a client would read.
    if not is_cbor(call):
        parse_like_botocore(protocol, operation, call, problems)


def check_query_response(operation, body, problems):
    root = parse_xml(body, "body", problems)
    if root is None:
        return
    expect_root(root, f"{operation.name}Response", problems)
    wrapper = f"{operation.name}Result"
    allowed = {"ResponseMetadata"}
    metadata = [child for child in root if local(child) == "ResponseMetadata"]
    if not metadata or not any(local(child) == "RequestId" for child in metadata[0]):
        problems.add("ResponseMetadata.RequestId", "is missing")
    shape = operation.output_shape
    if shape is not None:
        allowed.add(wrapper)
        results = [child for child in root if local(child) == wrapper]
        if len(results) != 1:
            problems.add(wrapper, f"stands {len(results)} times")
        for result in results:
            check_xml(result, shape, "", problems)
    for child in root:
        if local(child) not in allowed:
            problems.add(local(child), "does not belong there")


def check_rest_json_response(operation, call, problems):
    shape = operation.output_shape
    check_headers(call["response_headers"], shape.members if shape is not None else {}, problems, side="response")
    want = operation.http.get("responseCode")
    if want and call["status"] != want:
        problems.add("status", f"is {call['status']}, must be {want}")
    if shape is None:
        if call["response_body"]:
            problems.add("body", "is not empty, but the operation has no output")
    elif not shape.serialization.get("payload"):
        value = json_body(call["response_body"] or "{}", problems)
        if value is not None:
            check_json(value, shape, "", problems, is_input=False)


def check_rest_response(operation, call, problems):
    shape = operation.output_shape
    members = shape.members if shape is not None else {}
    check_headers(call["response_headers"], members, problems, side="response")
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload and members[payload].type_name != "structure":
        return
    body = call["response_body"]
    in_body = [m for m in members.values() if not m.serialization.get("location")]
    if not body:
        if payload or any(name for name in (shape.required_members if shape else ()) if in_body):
            problems.add("body", "is empty")
        return
    if not in_body:
        problems.add("body", "is not empty, but the operation has no such output")
        return
    root = parse_xml(body, "body", problems)
    if root is not None:
        check_xml(root, members[payload] if payload else shape, local(root), problems)


def check_error(service, operation, call, problems):
    code = error_code(service, call, problems)
    if code is None or code in COMMON_ERRORS or service.service_name in WITHOUT_ERROR_SHAPES:
        return
    listed = {shape.error_code for shape in operation.error_shapes} | {s.name for s in operation.error_shapes}
    if code not in listed:
        problems.add("error", f"{operation.name} does not have {code}; it has {sorted(listed)}")


def error_code(service, call, problems):
    protocol = service.resolved_protocol
    if is_cbor(call):
        return cbor_error_code(call, problems)
    if not call["response_body"] and (protocol == "rest-xml" or call["method"] == "HEAD"):
        return None
    parser = create_parser(protocol)
    shape = None
    parsed = parser.parse(as_botocore_reads(call), shape)
    code = parsed.get("Error", {}).get("Code")
    if not code:
        problems.add("error", f"has status {call['status']} and no code: {call['response_body'][:200]}")
        return None
    if protocol in ("query", "ec2") and not parsed.get("ResponseMetadata", {}).get("RequestId"):
        problems.add("error", "has no request id")
    return code


def cbor_error_code(call, problems):
    """The body's `__type`, which the header for clients of the older protocol must agree with."""
    value = json_body(call["response_body"], problems) or {}
    code = value.get("__type", "").rsplit("#", 1)[-1]
    if not code:
        problems.add("error", f"has status {call['status']} and no code: {call['response_body'][:200]}")
        return None
    header = call["response_headers"].get("x-amzn-query-error", "").split(";")[0]
    if header != code:
        problems.add("x-amzn-query-error", f"is `{header}`, the body says `{code}`")
    return code


def parse_like_botocore(protocol, operation, call, problems):
    """What boto3 would do with the answer: the last word on whether a client can read it."""
    try:
        create_parser(protocol).parse(as_botocore_reads(call), operation.output_shape)
    except Exception as error:  # noqa: BLE001 - whatever it throws, a client could not read the answer
        problems.add("", f"botocore cannot parse the answer: {type(error).__name__}: {error}")


# ---- both


def as_botocore_reads(call):
    return {
        "status_code": call["status"],
        "headers": call["response_headers"],
        "body": call["response_body"].encode(),
        "context": {"operation_name": call["operation"]},
    }


def expect_root(root, want, problems):
    if local(root) != want:
        problems.add("body", f"is `{local(root)}`, must be `{want}`")


def check_headers(headers, members, problems, *, side):
    known = {
        wire_name(member, name).lower(): member
        for name, member in members.items()
        if member.serialization.get("location") == "header"
    }
    prefixes = [
        wire_name(member, name).lower()
        for name, member in members.items()
        if member.serialization.get("location") == "headers"
    ]
    for name, value in headers.items():
        if name in known:
            check_header(value, known[name], f"{side} header {name}", problems)
        elif name.startswith("x-amz-") and not name.startswith((*PROTOCOL_HEADERS, *prefixes)):
            problems.add(f"header {name}", "is no header of this operation")


def check_header(value, shape, path, problems):
    # A list in a header is separated by commas, and a map of tags is a query string: text is all that can be said.
    if shape.type_name not in ("list", "map", "structure"):
        check_text(value, shape, path, problems)


def json_body(text, problems):
    try:
        return json.loads(text)
    except ValueError as error:
        problems.add("body", f"is not JSON: {error}")
        return None


def with_bytes(value, shape):
    """Blobs are base64 in JSON and bytes for botocore's validator."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {wire_name(member, name): (name, member) for name, member in shape.members.items()}
        return {
            members[name][0] if name in members else name: with_bytes(item, members[name][1]) if name in members else item
            for name, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [with_bytes(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: with_bytes(item, shape.value) for key, item in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value)
        except ValueError:
            return value
    return value


if __name__ == "__main__":
    sys.exit(main())

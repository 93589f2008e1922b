"""moto on a free loopback port, until standard input ends.

Argument: the account's number. Prints the port on a line of its own, once it serves. A thin shim stands before moto, because
of habits that AWS does not have and that keep a strict client from using it at all:
  - JSON answers carry timestamps as text (CodeCommit, CodePipeline) and null for absent members: both are put right by
    botocore's model of the output, nothing else is touched;
  - CodeBuild demands a location of sources and artifacts that are of type CODEPIPELINE, which AWS ignores: one is supplied
    on the way in and taken out of the answers;
  - listings that moto lacks, and that are empty in an account where nothing was made of the kind, are answered as empty;
  - CloudWatch's answers come in a protocol that moto doesn't speak (Smithy RPC v2 in CBOR): a listing of alarms, of which
    the apps here have none, is answered as empty;
  - CodeDeploy's deletions, which moto lacks, are answered as done, so that what comes behind them is tried: the things stay;
  - CodeCommit's tags, which moto forgets: those of CreateRepository and TagResource are kept here;
  - S3's answers on versioning and notifications have another root element than AWS's: it is renamed; the notifications
    leave out EventBridge, which moto does keep: the configuration that was put last is answered as it was put;
  - every other operation that moto lacks is answered with 500 and a page of HTML, which SDKs repeat: it becomes 501 with
    the operation's name, and a line on standard error.
Must not add behaviour beyond these.
"""

import io
import json
import os
import sys
import threading


# What stands in for operations that moto lacks. A thing of the listed kinds cannot be made in moto either.
STAND_INS = {
    "CodeDeploy_20141006.DeleteApplication": {},
    "CodeDeploy_20141006.DeleteDeploymentGroup": {"hooksNotCleanedUp": []},
    "CodeDeploy_20141006.ListDeploymentConfigs": {"deploymentConfigsList": []},
    "CodePipeline_20150709.ListPipelineExecutions": {"pipelineExecutionSummaries": []},
}

# CloudWatch in CBOR: the path of a listing of alarms, and {"MetricAlarms": []}.
ALARMS = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"
NO_ALARMS = b"\xa1\x6cMetricAlarms\x80"

# Root elements of S3's answers as moto names them, and as AWS does.
ROOTS = {
    b"GetBucketVersioningResponse": b"VersioningConfiguration",
    b"GetBucketNotificationResponse": b"NotificationConfiguration",
    b"GetBucketNotificationConfigurationResponse": b"NotificationConfiguration",
}

# Stands where moto demands a location and AWS wants none.
NO_LOCATION = "codepipeline"


def main(account):
    # moto reads it when it is imported.
    os.environ["MOTO_ACCOUNT_ID"] = account
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_):
            pass

    application = Shim(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    # Whoever started us holds the other end: if it dies, so do we.
    sys.stdin.read()
    server.shutdown()


class Shim:
    """WSGI in, WSGI out."""

    def __init__(self, application):
        from botocore.session import get_session

        self.application = application
        self.session = get_session()
        self.targets = {}
        self.tags = {}
        self.notifications = {}
        for name in ("codebuild", "codecommit", "codedeploy", "codepipeline", "ecr", "ecs", "events", "kms", "logs"):
            service = self.session.get_service_model(name)
            self.targets[service.metadata["targetPrefix"]] = service

    def __call__(self, environ, start_response):
        captured = {}

        def capture(status, headers, exc_info=None):
            captured["status"] = status
            captured["headers"] = headers
            return io.BytesIO().write

        if environ.get("PATH_INFO") == ALARMS:
            start_response("200 OK", [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")])
            return [NO_ALARMS]
        prefix, _, name = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        service = self.targets.get(prefix)
        if prefix.startswith("CodeBuild_"):
            supply_locations(environ)
        if prefix.startswith("CodeCommit_"):
            request = read_request(environ)
            if name in ("TagResource", "ListTagsForResource"):
                answer = self.repository_tags(name, request)
                start_response("200 OK", [("content-type", "application/x-amz-json-1.1")])
                return [json.dumps(answer).encode()]
        if is_of_notifications(environ) and environ["REQUEST_METHOD"] == "PUT":
            self.notifications[environ["PATH_INFO"].strip("/")] = read_body(environ)
        try:
            body = b"".join(self.application(environ, capture))
        except NotImplementedError:
            body = b"not implemented"
            captured = {"status": "500 INTERNAL SERVER ERROR", "headers": []}
        status, headers = captured["status"], captured["headers"]
        if is_lacking(status, body) and f"{prefix}.{name}" in STAND_INS:
            status = "200 OK"
            headers = [("content-type", "application/x-amz-json-1.1")]
            body = json.dumps(STAND_INS[f"{prefix}.{name}"]).encode()
        elif is_lacking(status, body):
            what = name or environ.get("PATH_INFO", "")
            print(f"moto lacks {prefix} {what}: {body[:120]!r}", file=sys.stderr, flush=True)
            status = "501 NOT IMPLEMENTED"
            headers = [("content-type", "application/x-amz-json-1.1")]
            body = json.dumps({"__type": "NotImplemented", "message": f"moto lacks {what}"}).encode()
        elif service is not None and status.startswith("200") and name in service.operation_names:
            shape = service.operation_model(name).output_shape
            if shape is not None and body:
                body = json.dumps(repaired(json.loads(body), shape)).encode()
            if name == "CreateRepository" and prefix.startswith("CodeCommit_"):
                arn = json.loads(body)["repositoryMetadata"]["Arn"]
                self.tags[arn] = request.get("tags", {})
        elif not prefix and status.startswith("200"):
            body = self.s3_answer(environ, body)
        headers = [(key, value) for key, value in headers if key.lower() != "content-length"]
        start_response(status, [*headers, ("content-length", str(len(body)))])
        return [body]

    def s3_answer(self, environ, body):
        if is_of_notifications(environ) and environ["REQUEST_METHOD"] == "GET":
            body = self.notifications.get(environ["PATH_INFO"].strip("/"), body)
        for have, want in ROOTS.items():
            body = body.replace(b"<" + have + b" ", b"<" + want + b" ").replace(b"</" + have + b">", b"</" + want + b">")
        return body

    def repository_tags(self, name, request):
        tags = self.tags.setdefault(request["resourceArn"], {})
        if name == "TagResource":
            tags.update(request["tags"])
            return {}
        return {"tags": tags}


def is_lacking(status, body):
    return status.startswith("500") and b"not implemented" in body.lower() or b"has not been implemented" in body


def is_of_notifications(environ):
    names = [part.partition("=")[0] for part in environ.get("QUERY_STRING", "").split("&")]
    return "notification" in names and "HTTP_X_AMZ_TARGET" not in environ


def supply_locations(environ):
    """CreateProject and UpdateProject, as moto wants them."""
    request = read_request(environ)
    for part in (request.get("source"), request.get("artifacts")):
        if part and part.get("type") == "CODEPIPELINE":
            part.setdefault("location", NO_LOCATION)
    write_request(environ, request)


def read_request(environ):
    """The request's JSON; it stays there to be read again."""
    return json.loads(read_body(environ) or b"{}")


def read_body(environ):
    """The request's body; it stays there to be read again."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    write_body(environ, body)
    return body


def write_request(environ, request):
    write_body(environ, json.dumps(request).encode())


def write_body(environ, body):
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def repaired(value, shape):
    """The value without nulls, and with timestamps in seconds."""
    from botocore.utils import parse_timestamp

    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: repaired(item, shape.members[name]) if name in shape.members else item
            for name, item in value.items()
            if item is not None and (name, item) != ("location", NO_LOCATION)
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [repaired(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: repaired(item, shape.value) for key, item in value.items() if item is not None}
    if shape.type_name == "timestamp" and isinstance(value, str):
        return parse_timestamp(value).timestamp()
    return value


if __name__ == "__main__":
    main(sys.argv[1])

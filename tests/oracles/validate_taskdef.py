"""Holds task definitions against botocore's model of RegisterTaskDefinition.

Arguments: paths of taskdef.json files. Standard output: {"checked": N, "problems": ["path: …"]}; exit code 1 if there is a
problem. Must not talk to anything.
"""

import json
import pathlib
import sys

import botocore.session
from botocore.validate import ParamValidator

from shapes import Problems, check_json


def main(paths):
    ecs = botocore.session.get_session().get_service_model("ecs")
    shape = ecs.operation_model("RegisterTaskDefinition").input_shape
    problems = []
    for path in paths:
        value = json.loads(pathlib.Path(path).read_text())
        found = Problems()
        check_json(value, shape, "", found, is_input=True)
        report = ParamValidator().validate(value, shape)
        if report.has_errors():
            found.found.extend(report.generate_report().splitlines())
        problems.extend(f"{path}: {text}" for text in found.found)
    json.dump({"checked": len(paths), "problems": problems}, sys.stdout, indent=2)
    print()
    return 1 if problems or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

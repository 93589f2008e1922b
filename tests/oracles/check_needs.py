"""Holds what the sandbox says that calls need against the service authorization reference, as parliament carries it.

Standard input: a line of JSON for each need, [action, resource]; an empty resource is one that is not known. Standard output: {"checked": …, "problems": […]}.
"""

import json
import pathlib
import re
import sys

import parliament



def definitions():
    path = pathlib.Path(parliament.__file__).parent / "iam_definition.json"
    return {service["prefix"]: service for service in json.loads(path.read_text())}


def pattern(arn):
    """An ARN of the reference, as a regular expression: every variable stands for anything."""
    parts = re.split(r"\$\{[^}]*\}", arn)
    return re.compile(".*".join(re.escape(part) for part in parts) + "$")


def main():
    services = definitions()
    problems, checked = [], 0
    for line in sys.stdin:
        action, resource = json.loads(line)
        checked += 1
        prefix, name = action.split(":", 1)
        service = services.get(prefix)
        if service is None:
            problems.append(f"{action}: no such service")
            continue
        privilege = next((p for p in service["privileges"] if p["privilege"] == name), None)
        if privilege is None:
            problems.append(f"{action}: no such action")
            continue
        kinds = {r["resource_type"].rstrip("*") for r in privilege["resource_types"]} - {""}
        if not resource:
            if not kinds:
                problems.append(f"{action}: knows no resource, and one was named")
            continue
        if resource == "*":
            if kinds and all(r["resource_type"].endswith("*") for r in privilege["resource_types"] if r["resource_type"]):
                problems.append(f"{action}: is about {sorted(kinds)}, and no resource was named")
            continue
        if not kinds:
            problems.append(f"{action}: knows no resource, and {resource} was named")
            continue
        arns = [r["arn"] for r in service["resources"] if r["resource"] in kinds]
        if not any(pattern(arn).match(resource) for arn in arns):
            problems.append(f"{action}: {resource} is none of {arns}")
    json.dump({"checked": checked, "problems": sorted(set(problems))}, sys.stdout)


if __name__ == "__main__":
    main()

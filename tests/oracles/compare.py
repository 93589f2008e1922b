"""Compares two descriptions made by describe.py: the sandbox's and moto's.

Arguments: SANDBOX.json MOTO.json. Standard output: {"compared": N, "differences": [{path, sandbox, moto}], "known": N,
"unused": [entries]}; exit code 1 if there is a difference that known_findings.json (section "moto") does not explain.
A path is `key:member.member[index]`. Must not talk to anything.
"""

import json
import pathlib
import sys

from known import Known

ABSENT = "(absent)"


def main(sandbox_path, moto_path):
    sandbox, moto = (flat(json.loads(pathlib.Path(path).read_text())) for path in (sandbox_path, moto_path))
    known = Known("moto")
    differences = []
    explained = 0
    for path in sorted(sandbox.keys() | moto.keys()):
        have, want = sandbox.get(path, ABSENT), moto.get(path, ABSENT)
        if have == want:
            continue
        if known.covers(path=path, sandbox=str(have), moto=str(want)):
            explained += 1
        else:
            differences.append({"path": path, "sandbox": have, "moto": want})
    compared = len(sandbox.keys() | moto.keys())
    result = {"compared": compared, "differences": differences, "known": explained, "unused": known.unused()}
    json.dump(result, sys.stdout, indent=2)
    print()
    return 1 if differences or not compared else 0


def flat(description):
    """Every scalar by its path."""
    found = {}
    for key, value in description.items():
        # A resource that only one side has is one difference, not one for each of its members.
        found[key] = "present"
        walk(f"{key}:", value, found)
    return found


def walk(path, value, found):
    if isinstance(value, dict):
        for name, item in value.items():
            walk(f"{path}{'' if path.endswith(':') else '.'}{name}", item, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            walk(f"{path}[{index}]", item, found)
    else:
        found[path] = value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Runs parliament over identity policies.

Standard input: {name: policy, …}, the policy as JSON or as text. Standard output:
    {"checked": N, "problems": [{policy, issue, title, detail, location}], "known": N, "unused": [entries]}
where `known` counts findings that known_findings.json explains and `unused` lists entries that nothing needed. Exit code 1
if there is a problem. Must not talk to anything; trust and resource policies are beyond parliament.
"""

import json
import sys

from parliament import analyze_policy_string, enhance_finding

from known import Known


def main():
    policies = json.load(sys.stdin)
    known = Known("policies")
    problems = []
    explained = 0
    for name, policy in policies.items():
        text = policy if isinstance(policy, str) else json.dumps(policy)
        for finding in analyze_policy_string(text).findings:
            finding = enhance_finding(finding)
            detail = plain(finding.detail)
            if known.covers(policy=name, issue=finding.issue, detail=detail):
                explained += 1
                continue
            problems.append(
                {
                    "policy": name,
                    "issue": finding.issue,
                    "severity": finding.severity,
                    "title": finding.title,
                    "detail": detail,
                    "location": plain(finding.location),
                }
            )
    json.dump(
        {"checked": len(policies), "problems": problems, "known": explained, "unused": known.unused()},
        sys.stdout,
        indent=2,
    )
    print()
    return 1 if problems or not policies else 0


def plain(value):
    """parliament's details are text, lists or dictionaries; as one line each can be matched."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


if __name__ == "__main__":
    sys.exit(main())

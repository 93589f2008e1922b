"""Findings that are known to be false alarms, each written down with its reason in known_findings.json.

Must not match wider than an entry says: an entry names the finding's own text.
"""

import json
import pathlib
import re

FILE = pathlib.Path(__file__).with_name("known_findings.json")


class Known:
    """The entries of one section; each remembers whether it was needed."""

    def __init__(self, section):
        self.entries = json.loads(FILE.read_text())[section]
        self.used = set()
        for entry in self.entries:
            if not entry.get("reason"):
                raise ValueError(f"{FILE.name}: an entry without a reason: {entry}")

    def covers(self, **finding):
        """Whether an entry's every field but `reason` matches the finding's, `*` standing for anything."""
        for index, entry in enumerate(self.entries):
            fields = {name: value for name, value in entry.items() if name != "reason"}
            if all(matches(finding.get(name, ""), value) for name, value in fields.items()):
                self.used.add(index)
                return True
        return False

    def unused(self):
        """Entries that no finding needed."""
        return [entry for index, entry in enumerate(self.entries) if index not in self.used]


def matches(text, pattern):
    """Whether the whole text is like the pattern, in which only `*` is special."""
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None

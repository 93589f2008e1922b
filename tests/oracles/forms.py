"""Form parameters of the query and ec2 protocols, decoded into values: the inverse of botocore.serialize.

Checks every parameter against the shape that claims it and reports those that nothing claims. Must not know any service
by name.
"""

import base64

from shapes import check_text


def decode(parameters, shape, problems, *, is_ec2):
    """The value that the parameters describe, for botocore's own validator."""
    form = _Form(parameters, problems, is_ec2)
    value = form.structure(shape, "")
    for name in sorted(set(parameters) - form.consumed):
        problems.add(name, "is no parameter of this operation")
    return value


class _Form:
    def __init__(self, parameters, problems, is_ec2):
        self.parameters = parameters
        self.problems = problems
        self.is_ec2 = is_ec2
        self.consumed = set()

    def structure(self, shape, prefix):
        value = {}
        for name, member in shape.members.items():
            here = self._join(prefix, self._name(member, name))
            if self._has(here, member):
                value[name] = self._value(member, here)
        return value

    def _value(self, shape, here):
        if shape.type_name == "structure":
            return self.structure(shape, here)
        if shape.type_name == "list":
            return self._list(shape, here)
        if shape.type_name == "map":
            return self._map(shape, here)
        return self._scalar(shape, here)

    def _list(self, shape, here):
        if here in self.parameters and self.parameters[here] == "":
            self.consumed.add(here)
            return []
        prefix = self._list_prefix(shape, here)
        return [self._value(shape.member, item) for item in self._numbered(prefix)]

    def _map(self, shape, here):
        prefix = here if shape.serialization.get("flattened") else f"{here}.entry"
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        value = {}
        for item in self._numbered(prefix):
            key = self._scalar(shape.key, f"{item}.{key_name}")
            value[key] = self._value(shape.value, f"{item}.{value_name}")
        return value

    def _scalar(self, shape, here):
        text = self.parameters.get(here)
        if text is None:
            self.problems.add(here, "is a scalar, but its parameter is missing")
            return None
        self.consumed.add(here)
        check_text(text, shape, here, self.problems)
        return _python(text, shape)

    def _list_prefix(self, shape, here):
        if self.is_ec2:
            return here
        if not shape.serialization.get("flattened"):
            return f"{here}.{shape.member.serialization.get('name', 'member')}"
        name = shape.member.serialization.get("name")
        return ".".join([*here.split(".")[:-1], name]) if name else here

    def _numbered(self, prefix):
        """The prefixes `prefix.1`, `prefix.2`, … that exist; a gap is reported, because AWS would not look past it."""
        numbers = set()
        for name in self.parameters:
            if name.startswith(prefix + "."):
                head = name[len(prefix) + 1 :].split(".")[0]
                if head.isdigit():
                    numbers.add(int(head))
        if numbers != set(range(1, len(numbers) + 1)):
            self.problems.add(prefix, f"is numbered {sorted(numbers)}")
        return [f"{prefix}.{number}" for number in sorted(numbers)]

    def _has(self, here, shape):
        prefixes = {here}
        if shape.type_name == "list":
            prefixes.add(self._list_prefix(shape, here))
        return any(
            name in prefixes or any(name.startswith(prefix + ".") for prefix in prefixes)
            for name in self.parameters
        )

    def _name(self, member, name):
        if not self.is_ec2:
            return member.serialization.get("name", name)
        if "queryName" in member.serialization:
            return member.serialization["queryName"]
        wire = member.serialization.get("name")
        return wire[0].upper() + wire[1:] if wire else name

    @staticmethod
    def _join(prefix, name):
        return f"{prefix}.{name}" if prefix else name


def _python(text, shape):
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "boolean":
            return text == "true"
        if kind == "blob":
            return base64.b64decode(text)
    except ValueError:
        return None
    return text

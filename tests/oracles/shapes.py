"""Strict checks of values against botocore's shapes.

botocore's own validator looks at types, required members and minimum lengths only; this one also looks at unknown
members, enums, maximum lengths, ranges and patterns, in JSON and in XML. Must not know any service by name.
"""

import base64
import binascii
import functools
import xml.etree.ElementTree as ElementTree

import regex
from botocore.utils import parse_timestamp


class Problems:
    """Collects problems with the path at which they were found."""

    def __init__(self):
        self.found = []

    def add(self, path, text):
        self.found.append(f"{path or '.'}: {text}")


def wire_name(shape, default):
    """The name of a member on the wire."""
    return shape.serialization.get("name", default)


# ---- JSON


def check_json(value, shape, path, problems, *, is_input):
    """Walks a decoded JSON value against a shape."""
    if value is None:
        problems.add(path, "is null; AWS leaves such a member out")
        return
    check = {
        "structure": _json_structure,
        "list": _json_list,
        "map": _json_map,
    }.get(shape.type_name)
    if check is None:
        _json_scalar(value, shape, path, problems)
    else:
        check(value, shape, path, problems, is_input)


def _json_structure(value, shape, path, problems, is_input):
    if getattr(shape, "is_document_type", False):
        return
    if not isinstance(value, dict):
        problems.add(path, f"is {_kind(value)}, must be a structure")
        return
    members = {wire_name(member, name): member for name, member in shape.members.items()}
    for name in sorted(set(value) - set(members)):
        problems.add(f"{path}.{name}", f"is no member of {shape.name}")
    for name in sorted(shape.required_members):
        if wire_name(shape.members[name], name) not in value:
            problems.add(path, f"lacks {name}, which {shape.name} requires")
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        problems.add(path, f"{shape.name} is a union and has {len(value)} members")
    for name, member in members.items():
        if name in value:
            check_json(value[name], member, f"{path}.{name}", problems, is_input=is_input)


def _json_list(value, shape, path, problems, is_input):
    if not isinstance(value, list):
        problems.add(path, f"is {_kind(value)}, must be a list")
        return
    _size(len(value), shape, path, problems)
    for index, item in enumerate(value):
        check_json(item, shape.member, f"{path}[{index}]", problems, is_input=is_input)


def _json_map(value, shape, path, problems, is_input):
    if not isinstance(value, dict):
        problems.add(path, f"is {_kind(value)}, must be a map")
        return
    _size(len(value), shape, path, problems)
    for key, item in value.items():
        _text(key, shape.key, f"{path}[{key!r}]", problems)
        check_json(item, shape.value, f"{path}.{key}", problems, is_input=is_input)


def _json_scalar(value, shape, path, problems):
    kind = shape.type_name
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in ("string", "character"):
        if isinstance(value, str):
            _text(value, shape, path, problems)
        else:
            problems.add(path, f"is {_kind(value)}, must be a string")
    elif kind == "boolean":
        if not isinstance(value, bool):
            problems.add(path, f"is {_kind(value)}, must be a boolean")
    elif kind in ("integer", "long"):
        if isinstance(value, int) and is_number:
            _size(value, shape, path, problems)
        else:
            problems.add(path, f"is {_kind(value)}, must be a whole number")
    elif kind in ("float", "double"):
        if is_number:
            _size(value, shape, path, problems)
        else:
            problems.add(path, f"is {_kind(value)}, must be a number")
    elif kind == "timestamp":
        _json_timestamp(value, shape, path, problems, is_number)
    elif kind == "blob":
        _blob(value, path, problems)


def _json_timestamp(value, shape, path, problems, is_number):
    # The JSON protocols send seconds since 1970, unless the shape asks for text.
    wants_text = shape.serialization.get("timestampFormat") in ("iso8601", "rfc822")
    if wants_text and isinstance(value, str):
        _timestamp_text(value, path, problems)
    elif wants_text or not is_number:
        problems.add(path, f"is {_kind(value)}, must be a timestamp ({'text' if wants_text else 'seconds'})")


# ---- XML


def local(element):
    """The name of an element without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def parse_xml(text, path, problems):
    """The root element, or None after noting why there is none."""
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        problems.add(path, f"is not XML: {error}")
        return None


def check_xml(element, shape, path, problems, *, ignore=()):
    """Walks an element whose content is a value of the shape; `ignore` are children that the protocol adds."""
    check = {
        "structure": _xml_structure,
        "list": _xml_list,
        "map": _xml_map,
    }.get(shape.type_name)
    if check is None:
        if len(element):
            problems.add(path, f"has elements, must be a {shape.type_name}")
        else:
            check_text(element.text or "", shape, path, problems)
    elif shape.type_name == "structure":
        check(element, shape, path, problems, ignore)
    else:
        check(element, shape, path, problems)


def _xml_structure(element, shape, path, problems, ignore):
    members = {}
    for name, member in shape.members.items():
        # Headers, the path and attributes are not elements of the body.
        if member.serialization.get("location") or member.serialization.get("xmlAttribute"):
            continue
        members[_xml_name(member, name)] = member
    children = {}
    for child in element:
        children.setdefault(local(child), []).append(child)
    for name in sorted(set(children) - set(members) - set(ignore)):
        problems.add(f"{path}.{name}", f"is no member of {shape.name}")
    for name in sorted(shape.required_members):
        member = shape.members[name]
        wire = _xml_name(member, name)
        if wire in members and wire not in children:
            # An empty flattened list looks like an absent one.
            if not (member.type_name == "list" and member.serialization.get("flattened")):
                problems.add(path, f"lacks {name}, which {shape.name} requires")
    for name, member in members.items():
        found = children.get(name, [])
        here = f"{path}.{name}"
        if member.type_name == "list" and member.serialization.get("flattened"):
            _size(len(found), member, here, problems, present=bool(found))
            for index, child in enumerate(found):
                check_xml(child, member.member, f"{here}[{index}]", problems)
        elif len(found) > 1:
            problems.add(here, f"stands {len(found)} times")
        elif found:
            check_xml(found[0], member, here, problems)


def _xml_name(member, name):
    if member.type_name == "list" and member.serialization.get("flattened"):
        return member.member.serialization.get("name", member.serialization.get("name", name))
    return member.serialization.get("name", name)


def _xml_list(element, shape, path, problems):
    item_name = shape.member.serialization.get("name", "member")
    _size(len(element), shape, path, problems)
    for index, child in enumerate(element):
        here = f"{path}[{index}]"
        if local(child) != item_name:
            problems.add(here, f"is `{local(child)}`, items of {shape.name} are `{item_name}`")
        check_xml(child, shape.member, here, problems)


def _xml_map(element, shape, path, problems):
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    for index, entry in enumerate(element):
        parts = {local(child): child for child in entry}
        here = f"{path}[{index}]"
        if set(parts) != {key_name, value_name}:
            problems.add(here, f"has {sorted(parts)}, must have {key_name} and {value_name}")
            continue
        check_text(parts[key_name].text or "", shape.key, here, problems)
        check_xml(parts[value_name], shape.value, here, problems)


# ---- text, as it stands in XML and in form parameters


def check_text(text, shape, path, problems):
    """A scalar in its textual form."""
    kind = shape.type_name
    if kind in ("string", "character"):
        _text(text, shape, path, problems)
    elif kind == "boolean":
        if text not in ("true", "false"):
            problems.add(path, f"is `{text}`, must be true or false")
    elif kind in ("integer", "long"):
        if regex.fullmatch(r"-?[0-9]+", text):
            _size(int(text), shape, path, problems)
        else:
            problems.add(path, f"is `{text}`, must be a whole number")
    elif kind in ("float", "double"):
        try:
            _size(float(text), shape, path, problems)
        except ValueError:
            problems.add(path, f"is `{text}`, must be a number")
    elif kind == "timestamp":
        _timestamp_text(text, path, problems)
    elif kind == "blob":
        _blob(text, path, problems)
    else:
        problems.add(path, f"is text, must be a {kind}")


def _text(text, shape, path, problems):
    enum = shape.metadata.get("enum")
    if enum and text not in enum:
        problems.add(path, f"is `{text}`, which {shape.name} does not have")
        return
    _size(len(text), shape, path, problems)
    pattern = _pattern(shape.metadata.get("pattern"))
    if pattern and not pattern.fullmatch(text):
        problems.add(path, f"is `{text[:80]}`, does not match {shape.name} {pattern.pattern}")


@functools.cache
def _pattern(text):
    if not text:
        return None
    try:
        return regex.compile(text, regex.DOTALL)
    except regex.error:
        # A few patterns are written for Java alone; not checking them is better than guessing.
        return None


def _timestamp_text(text, path, problems):
    try:
        parse_timestamp(text)
    except ValueError:
        problems.add(path, f"is `{text}`, must be a timestamp")


def _blob(value, path, problems):
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        problems.add(path, "must be base64")


def _size(size, shape, path, problems, present=True):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if present and low is not None and size < low:
        problems.add(path, f"is {size}, {shape.name} has at least {low}")
    if high is not None and size > high:
        problems.add(path, f"is {size}, {shape.name} has at most {high}")


def _kind(value):
    return type(value).__name__

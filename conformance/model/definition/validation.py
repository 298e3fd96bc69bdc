"""Turns pydantic's complaints into problems that say the fix, and goes on with what is left of the document.

A document is validated, its faulty parts are cut out, and the rest is validated again, so that one typo does not
hide the missing file behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from conformance.model.definition.findings import FieldPath, Findings, shown
from conformance.model.jsonvalue import JsonObject, JsonValue, get_path
from conformance.model.registration import copy_json, suggest

_UNION_MEMBER = re.compile(r"(str|int|float)$|.*\[")

_File = TypeVar("_File", bound=BaseModel)

_ROUNDS = 6
"""Enough to cut, and then to fill the deepest required field level by level."""


def validate(model: type[_File], data: JsonValue, findings: Findings) -> _File | None:
    """Validate a document, noting every problem.

    Returns the model of what is sound, with faulty parts left out, or None if too little is left to go on.
    """
    if not isinstance(data, dict):
        if not findings.problems:
            findings.error((), "the file holds no mapping", "begin with apiVersion, kind, metadata and spec")
        return None
    rest = copy_json(data)
    for round_ in range(_ROUNDS):
        try:
            return model.model_validate_json(json.dumps(rest))
        except ValidationError as invalid:
            errors = invalid.errors()
        if round_ == 0:
            for error in _distinct(errors):
                _note(error, model, findings)
            findings.cut = frozenset(
                path for error in errors if isinstance((path := _cut_path(_place(error["loc"])))[-1], int)
            )
        absent = [error["loc"] for error in errors if error["type"] == "missing" and not _in_list(error["loc"])]
        _cut(rest, [error["loc"] for error in errors if error["loc"] not in absent])
        for path in absent:
            _fill(rest, path, model)
    return None


def _distinct(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """One error per place: a union reports each of its members."""
    seen: dict[FieldPath, ErrorDetails] = {}
    for error in errors:
        seen.setdefault(_place(error["loc"]), error)
    return list(seen.values())


def _place(loc: FieldPath) -> FieldPath:
    """The location without what pydantic appends for the members of a union."""
    return tuple(key for key in loc if isinstance(key, int) or not _UNION_MEMBER.match(key))


def _in_list(loc: FieldPath) -> bool:
    return any(isinstance(key, int) for key in loc)


def _cut(document: JsonValue, locs: Iterable[FieldPath]) -> None:
    """Remove the parts of a document that errors are about: a key, or the whole item of the innermost list."""
    for path in sorted({_cut_path(_place(loc)) for loc in locs}, key=_order, reverse=True):
        parent = get_path(document, *path[:-1])
        last = path[-1] if path else None
        if isinstance(parent, dict) and isinstance(last, str):
            parent.pop(last, None)
        elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            del parent[last]


def _cut_path(path: FieldPath) -> FieldPath:
    indices = [position for position, key in enumerate(path) if isinstance(key, int)]
    return path[: indices[-1] + 1] if indices else path


def _order(path: FieldPath) -> list[tuple[str, int]]:
    """Sort key under which an item comes after its parent and after the items before it in a list."""
    return [("", key) if isinstance(key, int) else (key, 0) for key in path]


def _fill(document: JsonValue, path: FieldPath, model: type[BaseModel]) -> None:
    """Put something valid where a required field is missing, so that validation gets past it."""
    parent = get_path(document, *path[:-1])
    schema = _schema_at(model, path)
    if isinstance(parent, dict):
        stand_in: JsonValue = {} if schema.get("type") == "object" else "unnamed"
        parent[str(path[-1])] = copy_json(schema.get("const", stand_in))


def _note(error: ErrorDetails, model: type[BaseModel], findings: Findings) -> None:
    path = _place(error["loc"])
    writer = _WRITERS.get(error["type"])
    if writer is not None:
        writer(error, path, model, findings)
        return
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "the value should")
    findings.error(path, message[:1].lower() + message[1:], _FIXES.get(error["type"]) or _about(model, path))


_FIXES = {
    "string_type": "write text; put it in quotes if it looks like a number, a date or yes/no",
    "list_type": "write a list",
    "model_type": "write a mapping",
    "model_attributes_type": "write a mapping",
    "dict_type": "write a mapping",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "string_too_short": "write something there or remove the field",
    "too_short": "add at least one item",
}


def _about(model: type[BaseModel], path: FieldPath) -> str:
    """Say what belongs into a field, in the words of the schema."""
    while path:
        description = get_path(_schema_at(model, path), "description")
        if isinstance(description, str) and not isinstance(path[-1], int):
            return f"{path[-1]}: " + " ".join(description.split())
        path = path[:-1]
    return "correct the value"


def _missing(error: ErrorDetails, path: FieldPath, model: type[BaseModel], findings: Findings) -> None:
    findings.error(path, "the field is missing", f"add {_about(model, path)}", value="")


def _unknown(error: ErrorDetails, path: FieldPath, model: type[BaseModel], findings: Findings) -> None:
    known = sorted(_properties(model, path[:-1]))
    close = suggest(str(path[-1]), known)
    fix = f"did you mean {close}?" if close else "remove it; known here: " + ", ".join(known)
    findings.error(path, "unknown field", fix)


def _choice(error: ErrorDetails, path: FieldPath, model: type[BaseModel], findings: Findings) -> None:
    expected = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
    value = get_path(error["input"]) if isinstance(error["input"], str) else ""
    close = suggest(str(value), expected)
    what = "unknown capability" if "capabilities" in path else "unknown value"
    fix = f"did you mean {close}?" if close and len(expected) > 1 else "write " + ", ".join(expected or ["true"])
    if close and len(expected) > 1:
        fix += " Known: " + ", ".join(expected)
    findings.error(path, what, fix, value=shown(error["input"]))


def _pattern(error: ErrorDetails, path: FieldPath, model: type[BaseModel], findings: Findings) -> None:
    value = str(error["input"])
    if path[-2:] == ("metadata", "name"):
        label = re.sub(r"[^a-z0-9]+", "-", value.lower())[:63].strip("-")
        fix = "write at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        findings.error(path, "this is no DNS-1123 label", fix + (f", such as {label}" if label else ""))
    elif {"caughtBy", "unsupported", "supports"} & set(path):
        findings.error(path, "this is no id of a requirement", "write an id such as DHCP-002")
    else:
        pattern = error.get("ctx", {}).get("pattern", "")
        findings.error(path, "the text has the wrong form", f"write something that matches {pattern}")


_Writer = Callable[[ErrorDetails, FieldPath, type[BaseModel], Findings], None]
_WRITERS: dict[str, _Writer] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "enum": _choice,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
}


def _schema_at(model: type[BaseModel], path: FieldPath) -> JsonObject:
    """Return the JSON Schema of the field at a path, empty if there is none."""
    schema: JsonObject = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs")
    current = schema
    for key in path:
        step = get_path(current, "items") if isinstance(key, int) else get_path(current, "properties", key)
        if not isinstance(step, dict):
            return {}
        current = _resolve(step, definitions)
    return current


def _resolve(schema: JsonObject, definitions: JsonValue) -> JsonObject:
    """Follow a reference, or the reference among alternatives; a field's own description stays."""
    options = schema.get("anyOf")
    candidates = [schema, *(options if isinstance(options, list) else [])]
    for candidate in candidates:
        reference = get_path(candidate, "$ref")
        target = get_path(definitions, str(reference).rpartition("/")[2]) if reference else None
        if isinstance(target, dict):
            return {**target, **{key: value for key, value in schema.items() if key == "description"}}
    return schema


def _properties(model: type[BaseModel], path: FieldPath) -> list[str]:
    found = _schema_at(model, path).get("properties")
    return list(found) if isinstance(found, dict) else []

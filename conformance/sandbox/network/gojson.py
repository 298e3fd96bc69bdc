"""Reading JSON with the errors that Go programs print: the words a vendor sees in a pod's events on a real cluster."""

import json

from conformance.sandbox.network.pods import Json


class GoJsonError(ValueError):
    """Not JSON; the text is that of Go's encoding/json."""


def parse_object(data: bytes) -> Json:
    """The JSON object in `data`; `null` gives an empty one, as it leaves a Go map empty.

    Raises GoJsonError in the words of encoding/json.
    """
    text = data.decode("utf-8", errors="replace")
    stripped = text.strip(" \t\r\n")
    if not stripped:
        raise GoJsonError("unexpected end of JSON input")
    try:
        value, end = json.JSONDecoder().raw_decode(stripped)
    except json.JSONDecodeError as error:
        raise GoJsonError(_syntax_error(stripped, error)) from None
    if end < len(stripped):
        rest = stripped[end:].lstrip()
        raise GoJsonError(f"invalid character {_quote(rest[0])} after top-level value")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GoJsonError(f"json: cannot unmarshal {_go_kind(value)} into Go value of type map[string]interface {{}}")
    return value


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    character = text[error.pos]
    context = {
        "Expecting value": "looking for beginning of value",
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after object key:value pair",
    }.get(error.msg, "looking for beginning of value")
    return f"invalid character {_quote(character)} {context}"


def _quote(character: str) -> str:
    return {"'": r"'\''", '"': "'\"'", "\n": r"'\n'", "\t": r"'\t'"}.get(character, f"'{character}'")


def _go_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "number"

"""Types of parsed JSON and YAML documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""Any value that JSON can write."""

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object, for instance one Kubernetes manifest."""


def get_path(value: JsonValue, *keys: str | int) -> JsonValue:
    """Return what stands under ``keys`` in nested objects and lists, None where the path ends early."""
    for key in keys:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def get_text(value: JsonValue, *keys: str | int) -> str:
    """Return the string under ``keys``, the empty string where there is none."""
    found = get_path(value, *keys)
    return found if isinstance(found, str) else ""

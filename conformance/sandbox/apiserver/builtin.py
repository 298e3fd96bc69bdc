"""Loads `builtin.yaml`: the kinds that the server has without any CustomResourceDefinition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from conformance.sandbox.apiserver.resources import AGE, ALL_VERBS, Column, Resource
from conformance.sandbox.apiserver.schema import Schema

_FILE = Path(__file__).with_name("builtin.yaml")


def load_builtin() -> list[Resource]:
    """Every built-in resource, version v1, in the order of the file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    declared = yaml.load(_FILE.read_text(encoding="utf-8"), loader)
    return [_resource(entry) for entry in declared["resources"]]


def _resource(entry: dict[str, Any]) -> Resource:
    return Resource(
        group=entry["group"],
        version="v1",
        plural=entry["plural"],
        kind=entry["kind"],
        namespaced=entry.get("scope", "Namespaced") == "Namespaced",
        schema=Schema(entry["schema"]),
        storage_version="v1",
        builtin=True,
        short_names=tuple(entry.get("shortNames", ())),
        categories=tuple(entry.get("categories", ())),
        subresources=frozenset(entry.get("subresources", ())),
        columns=tuple(_column(column) for column in entry["columns"]) if "columns" in entry else (AGE,),
        selectable=frozenset(entry.get("selectable", ())),
        verbs=tuple(entry.get("verbs", ALL_VERBS)),
        counts_generations=entry.get("counted", False),
        name_rule=entry.get("nameRule", "subdomain"),
    )


def _column(entry: dict[str, Any]) -> Column:
    """A column without a JSONPath is computed by `printers.py`."""
    return Column(
        name=entry["name"],
        type=entry.get("type", "string"),
        path=entry.get("jsonPath", ""),
        priority=entry.get("priority", 0),
    )

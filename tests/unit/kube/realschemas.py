"""Custom resource definitions of the real projects, from a directory that is named, and objects held against them.

Stricter than an API server, which drops what it does not know: a field that is unknown is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from conformance.kube.manifest import Manifest

KEPT = "x-kubernetes-preserve-unknown-fields"


class RealSchemas:
    """The schemas of all CustomResourceDefinitions in the YAML files of a directory, by apiVersion and kind."""

    def __init__(self, directory: Path) -> None:
        self._validators: dict[tuple[str, str], Draft202012Validator] = {}
        for path in sorted(directory.glob("*.y*ml")):
            for definition in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                self._read(definition or {})

    def _read(self, definition: Manifest) -> None:
        if definition.get("kind") != "CustomResourceDefinition":
            return
        spec = definition["spec"]
        for version in spec["versions"]:
            key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
            self._validators[key] = Draft202012Validator(strict(version["schema"]["openAPIV3Schema"]))

    def known(self, manifest: Manifest) -> bool:
        return (manifest["apiVersion"], manifest["kind"]) in self._validators

    def problems(self, manifest: Manifest) -> list[str]:
        """What is wrong with an object: ``path: message``."""
        return list(self._problems(manifest))

    def _problems(self, manifest: Manifest) -> Iterator[str]:
        for error in self._validators[manifest["apiVersion"], manifest["kind"]].iter_errors(manifest):
            yield f"{error.json_path}: {error.message}"


def strict(schema: Any, *, root: bool = True) -> Any:
    """A structural schema of Kubernetes as JSON Schema that knows no other fields than those it names."""
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes") and key != "format"}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    if "properties" in made:
        made["properties"] = {name: strict(part, root=False) for name, part in made["properties"].items()}
        if root:
            made["properties"] |= {"metadata": {"type": "object"}, "apiVersion": {}, "kind": {}, "status": {}}
        if not schema.get(KEPT) and "additionalProperties" not in made:
            made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = strict(made[key], root=False)
    return made

"""The CustomResourceDefinitions of one KubeVirt release: the newest ones, without the fields that came later."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import yaml

from conformance.sandbox.kubevirt.facts import VersionFacts

DIRECTORY: Final = Path(__file__).parent / "crds"
_LATER_INTERFACE_FIELDS: Final = ("passtBinding", "portRanges")
_SOURCES: Final = ("pod", "multus", "resourceClaim")


def definitions(facts: VersionFacts) -> list[dict[str, Any]]:
    """KubeVirt's and Multus' definitions, as an installer would apply them."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[dict[str, Any]] = []
    for file in sorted(DIRECTORY.glob("*.yaml")):
        for document in yaml.load_all(file.read_text(encoding="utf-8"), loader):
            found += document["items"] if document.get("kind") == "List" else [document]
    for definition in found:
        for version in definition["spec"]["versions"]:
            _adapt(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"], facts)
    return found


def write_definitions(facts: VersionFacts, file: Path) -> None:
    """Write them as one YAML file."""
    file.write_text(yaml.safe_dump_all(definitions(facts), sort_keys=False), encoding="utf-8")


def _adapt(spec: dict[str, Any], facts: VersionFacts) -> None:
    """Take fields away from the schema of one kind's spec: a VM's, a VMI's or KubeVirt's own."""
    if "template" in spec:
        _adapt(spec["template"]["properties"]["spec"]["properties"], facts)
    if "networks" in spec:
        sources = [source for source in _SOURCES if source not in facts.network_sources]
        _drop(spec["networks"]["items"]["properties"], sources)
        devices = spec["domain"]["properties"]["devices"]["properties"]
        later = [field for field in _LATER_INTERFACE_FIELDS if field not in facts.interface_fields]
        _drop(devices["interfaces"]["items"]["properties"], later)
    if "configuration" in spec:
        binding = spec["configuration"]["properties"]["network"]["properties"]["binding"]
        fields = binding["additionalProperties"]["properties"]
        _drop(fields, [field for field in fields if field not in facts.registration_fields])


def _drop(properties: dict[str, Any], names: Collection[str]) -> None:
    for name in names:
        properties.pop(name, None)

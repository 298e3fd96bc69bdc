"""The catalogue as a list for other programs, and which bundled mutants prove each check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.catalogue.catalogue import Catalogue
from conformance.model import JsonObject, Requirement
from conformance.model.definition.yamlfile import read_document
from conformance.model.jsonvalue import get_path, get_text


def mutants_by_requirement(directory: Path) -> dict[str, list[str]]:
    """Return the names of a directory's mutants by the requirement that catches them, sorted.

    Files that are no sound YAML are left out here; loading them says why.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(directory.glob("*.yaml")):
        data = read_document(path).data
        caught_by = get_path(data, "spec", "caughtBy")
        if get_text(data, "kind") == "Mutant" and isinstance(caught_by, list):
            for id_ in caught_by:
                found.setdefault(str(id_), []).append(get_text(data, "metadata", "name"))
    return found


def as_json(catalogue: Catalogue, mutants: Mapping[str, Sequence[str]] | None = None) -> list[JsonObject]:
    """Return one object per requirement, in report order.

    Keys: ``id``, ``level``, ``title``, ``capabilities`` (terms that must all hold: ``mig``, ``!ipam``,
    ``attach|ipam``), ``attachment`` (kinds of binding concerned: ``tap``, ``managedTap``, ``sidecar``),
    ``minKubeVirt``, ``source`` (texts), ``mutants`` (names of the given mutants that it catches).
    """
    return [
        _object(catalogue, requirement, (mutants or {}).get(requirement.id, ()))
        for requirement in catalogue.requirements
    ]


def _object(catalogue: Catalogue, requirement: Requirement, mutants: Sequence[str]) -> JsonObject:
    return {
        "id": requirement.id,
        "level": requirement.level.value,
        "title": requirement.title,
        "capabilities": [term.text for term in requirement.capabilities],
        "attachment": list(requirement.attachments),
        "minKubeVirt": str(requirement.min_kubevirt),
        "source": [catalogue.describe_source(key) for key in requirement.sources],
        "mutants": list(mutants),
    }

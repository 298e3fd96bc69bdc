"""The requirements a binding is judged by, as data, and their selection for one binding on one cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from conformance.catalogue import listing, selection
from conformance.catalogue.catalogue import (
    FAMILIES,
    Catalogue,
    CatalogueError,
    UnknownRequirementError,
    load,
    load_from,
)
from conformance.catalogue.listing import mutants_by_requirement
from conformance.catalogue.selection import (
    ALL,
    EXTENDED,
    NotDeclared,
    Selected,
    UnknownProfileError,
    binding_problems,
    profile_names,
)
from conformance.model import Binding, JsonObject

__all__ = [
    "ALL",
    "EXTENDED",
    "FAMILIES",
    "Catalogue",
    "CatalogueError",
    "NotDeclared",
    "Selected",
    "UnknownProfileError",
    "UnknownRequirementError",
    "as_json",
    "binding_problems",
    "load",
    "load_from",
    "mutants_by_requirement",
    "profile_names",
    "select",
]


def select(
    binding: Binding,
    kubevirt_version: str,
    profile: str = ALL,
    ids: Collection[str] | None = None,
    *,
    checked: Collection[str] | None = None,
    environment: Collection[str] = (),
    disabled_gates: Mapping[str, str] | None = None,
) -> tuple[Selected, ...]:
    """Select from the bundled catalogue; see `conformance.catalogue.selection.select`."""
    return selection.select(
        load(),
        binding,
        kubevirt_version,
        profile,
        ids,
        checked=checked,
        environment=environment,
        disabled_gates=disabled_gates,
    )


def as_json(mutants: Mapping[str, Sequence[str]] | None = None) -> list[JsonObject]:
    """Return the bundled catalogue for other programs; see `conformance.catalogue.listing.as_json`."""
    return listing.as_json(load(), mutants)

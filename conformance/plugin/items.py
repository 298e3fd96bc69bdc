"""The checks among the collected items: their marker, and what is gathered about each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conformance.catalogue import UnknownRequirementError, load
from conformance.evidence.recorder import Evidence
from conformance.model.capability import CapabilityExpressionError, CapabilityTerm
from conformance.plugin.verdicts import ItemRecord

_RECORD = pytest.StashKey[ItemRecord]()
_EVIDENCE = pytest.StashKey[Evidence]()


def requirement_of(item: pytest.Item) -> str:
    """The id in the item's marker, or an empty string for a test that is no check."""
    marker = item.get_closest_marker("requirement")
    return str(marker.args[0]) if marker is not None and marker.args else ""


def terms_of(item: pytest.Item) -> tuple[CapabilityTerm, ...]:
    """Conditions on the binding beyond those of the requirement: a part that does not concern it is left out."""
    return tuple(CapabilityTerm.parse(str(marker.args[0])) for marker in item.iter_markers("where"))


def validate_items(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The checks among ``items``.

    Raises pytest.UsageError for a marker without exactly one id, for two markers, or for an id the catalogue lacks.
    """
    checks = []
    for item in items:
        markers = list(item.iter_markers("requirement"))
        if not markers:
            continue
        if len(markers) > 1 or len(markers[0].args) != 1 or markers[0].kwargs:
            raise pytest.UsageError(f"{item.nodeid}: a check decides exactly one requirement: one marker with one id")
        try:
            load().get(requirement_of(item))
        except UnknownRequirementError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error
        try:
            terms_of(item)
        except (CapabilityExpressionError, IndexError) as error:
            raise pytest.UsageError(f"{item.nodeid}: marker where: {error}") from error
        checks.append(item)
    return checks


def record_of(item: pytest.Item) -> ItemRecord:
    """What is gathered about the item."""
    return item.stash.setdefault(_RECORD, ItemRecord(requirement_of(item)))


def evidence_of(item: pytest.Item) -> Evidence:
    """What the item wants collected when it fails."""
    return item.stash.setdefault(_EVIDENCE, Evidence())

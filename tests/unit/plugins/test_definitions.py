"""The bundled definitions, mutants and images: consistent with each other and with what the suites check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from conformance.images.lock import Part
from conformance.model import Binding, load_binding
from fixtures.images import LOCK, lock

FIXTURES = LOCK.parent
BINDINGS = sorted(FIXTURES.glob("bindings/*.yaml"))
MUTANTS = sorted(FIXTURES.glob("mutants/*.yaml"))
ABOUT_KUBEVIRT = {"CONN-014", "HOOK-008", "HP-001", "MIG-002", "POD-001", "POD-002", "POD-004", "POD-006", "SEC-001"}
REGISTERING = {f"REG-{number:03}" for number in (2, 3, 4, 5, 6, 8, 9, 10, 11, 14)}
UNREACHABLE = ABOUT_KUBEVIRT | REGISTERING
"""Checks of what KubeVirt itself does, which no binding can make fail: what its admission says, with a name or a
network that is not there, how it makes the launcher pod, and what becomes of a VM that cannot migrate.
`test_kubevirts_part.py`, `test_network_info.py`, `test_image_missing.py`, `test_memory_overhead.py`,
`test_not_migratable.py`, `test_registrations_part.py`,
`tests/contract/test_registration_checks.py` and `test_waiting_checks.py` there show that
they can fail.
"""


def checked_requirements() -> set[str]:
    """The ids that the suites have checks for, read from their markers."""
    found = set()
    for path in (FIXTURES.parent / "suites").glob("*/test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
                found.add(str(ast.literal_eval(node.args[0])))
    return found


def caught() -> dict[str, set[str]]:
    """Mutant to the ids that must catch it."""
    mutants = (load_binding(path) for path in MUTANTS)
    return {mutant.label: set(mutant.mutant.caught_by) for mutant in mutants if mutant.mutant is not None}


@pytest.mark.parametrize("path", [*BINDINGS, *MUTANTS], ids=lambda path: str(path.stem))
def test_every_definition_loads(path: Path) -> None:
    binding = load_binding(path)
    assert binding.label == path.stem
    assert binding.warnings == ()


def test_every_check_has_a_mutant_that_it_catches() -> None:
    found = set().union(*caught().values())
    assert checked_requirements() - found == UNREACHABLE
    assert found <= checked_requirements()


def test_the_readme_lists_every_mutant_with_what_catches_it() -> None:
    readme = (FIXTURES / "mutants" / "README.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`"): set(row[2].replace(",", " ").split()) for row in rows} == caught()


def images_of(binding: Binding) -> set[str]:
    """Every image that a binding brings or names, in its registration and in its manifests."""
    found = {image.name for image in binding.artifacts.images}
    if binding.registration is not None:
        found.add(binding.registration.sidecar_image)
    pending: list[object] = list(binding.manifests)
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            found.add(str(value.get("image", "")))
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return found - {""}


def test_no_image_is_used_that_the_lock_does_not_name() -> None:
    used = set().union(*(images_of(load_binding(path)) for path in (*BINDINGS, *MUTANTS)))
    assert used == {image.name for image in lock().images if image.part is Part.BINDING}

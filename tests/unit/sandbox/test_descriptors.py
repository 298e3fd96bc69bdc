"""How many files a process may open, and what is said where that is too few for a binding that opens every port."""

from __future__ import annotations

import resource

import pytest

from conformance.sandbox.descriptors import ALL_PORTS, CONTAINER_DESCRIPTORS, finding, raise_limit


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A machine with a hard limit of 20000, and what was set on it."""
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 20000))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: made.append(limits))
    return made


def test_the_hard_limit_is_raised_to_that_of_a_container_and_the_soft_one_left(limits: list[tuple[int, int]]) -> None:
    assert raise_limit() == CONTAINER_DESCRIPTORS
    assert limits == [(1024, CONTAINER_DESCRIPTORS)]


def test_a_machine_that_allows_no_more_keeps_its_limit(
    limits: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 20000
    assert limits == []


@pytest.mark.parametrize(("allowed", "ok"), [(20000, False), (ALL_PORTS, False), (CONTAINER_DESCRIPTORS, True)])
def test_too_few_for_every_port_is_a_hint_with_its_fix(allowed: int, ok: bool) -> None:
    found = finding(allowed)
    assert (found.ok, found.required) == (ok, False)
    assert str(allowed) in found.detail
    assert bool(found.fix) is not ok

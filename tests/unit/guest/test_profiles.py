"""Guest profiles: how to log into each known guest, and what is excused for what it does by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from conformance.guest.carrier import CarrierEvent, CarrierRecord
from conformance.guest.keys import GuestKeys
from conformance.kube.outcome import Inconclusive, NonConformant
from fixtures.images import known_guest
from fixtures.migrations import excused
from fixtures.sights import Sight

FLAP = CarrierRecord(
    tuple(CarrierEvent(up, "eth0", on, n) for up, on, n in ((1, True, 2), (2, False, 3), (3, True, 4)))
)
STILL = CarrierRecord((CarrierEvent(1, "eth0", True, 2),))


def seen_by(profile: str, record: CarrierRecord, sight: Sight | None) -> Sight | None:
    machine: Any = SimpleNamespace(guest=SimpleNamespace(image=known_guest(profile)))
    watch: Any = SimpleNamespace(read=lambda: record)
    return excused(sight, machine, watch)


def test_each_profile_has_an_account_and_a_locked_image() -> None:
    assert known_guest().user == known_guest("fedora").user == "fedora"
    assert known_guest("alpine").reference.startswith("quay.io/kubevirt/alpine-with-test-tooling-container-disk:")


def test_root_is_let_in_by_its_own_entry() -> None:
    keys = GuestKeys.generate()
    alpine = yaml.safe_load(keys.user_data(extra=known_guest("alpine").cloud_init(keys.client.public)))
    assert alpine["disable_root"] is False
    assert alpine["users"] == [{"name": "root", "ssh_authorized_keys": [keys.client.public]}]
    fedora = yaml.safe_load(keys.user_data(extra=known_guest("fedora").cloud_init(keys.client.public)))
    assert "users" not in fedora, "the image has no users-groups module: the default user gets the key"
    assert fedora["ssh_authorized_keys"] == [keys.client.public]


@pytest.mark.parametrize(
    ("profile", "record", "excuse"),
    [("fedora", FLAP, True), ("alpine", FLAP, True), ("fedora", STILL, False), ("reacting", FLAP, False)],
)
def test_a_renewal_that_the_guest_leaves_out_is_no_fault_of_the_binding(
    profile: str, record: CarrierRecord, excuse: bool
) -> None:
    failure = NonConformant("the guest has another address")
    found = seen_by(profile, record, Sight(30.0, failure))
    assert found is not None
    assert isinstance(found.failure, Inconclusive) == excuse
    assert "another address" in str(found.failure)


def test_what_was_seen_needs_no_excuse() -> None:
    fine = Sight(1.0)
    assert seen_by("fedora", FLAP, fine) is fine
    assert seen_by("fedora", FLAP, None) is None

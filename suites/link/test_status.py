from __future__ import annotations

import pytest

from fixtures.links import LinkStory, look_at_link
from fixtures.machines import Machine
from fixtures.migrations import Migration


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("LINK-004")
def test_status_is_the_carrier(machine: Machine) -> None:
    """linkState in the status is the guest's carrier.

    Preconditions:
    * A running VM.

    Steps:
    1. Read linkState and the carrier of the guest's NIC.

    Expected:
    * Both are up.
    """
    seen = look_at_link(machine)
    assert (seen.status, seen.carrier) == ("up", "up"), str(seen)


@pytest.mark.xdist_group("migration")
@pytest.mark.requirement("LINK-004")
@pytest.mark.where("mig")
def test_status_is_the_carrier_after_a_migration(migration: Migration) -> None:
    """linkState in the status is the guest's carrier after a migration too, and not down.

    Preconditions:
    * A migrated VM.

    Steps:
    1. Read linkState and the carrier of the guest's NIC.

    Expected:
    * Both are up.
    """
    seen = look_at_link(migration.machine)
    assert (seen.status, seen.carrier) == ("up", "up"), str(seen)


@pytest.mark.xdist_group("link")
@pytest.mark.requirement("LINK-004")
@pytest.mark.where("attach|link")
def test_status_follows_the_carrier(link: LinkStory) -> None:
    """linkState is the guest's carrier after every change of the interface's state.

    Preconditions:
    * A VM whose interface's state was changed several times.

    Steps:
    1. Compare linkState with the carrier after each change.

    Expected:
    * They are the same.
    """
    odd = {moment: str(seen) for moment, seen in link.seen.items() if seen.status != seen.carrier}
    assert not odd, f"status and carrier differ: {odd}"

from __future__ import annotations

import pytest

from fixtures.journeys import TRIPS, Journey
from fixtures.measure import Measure


@pytest.mark.xdist_group("journey")
@pytest.mark.requirement("MIG-012")
def test_three_migrations_in_a_row(journey: Journey, measure: Measure) -> None:
    """Three migrations work, back to the first node among them, each followed by a DHCP renewal and a guest reboot.

    Preconditions:
    * A running VM whose guest has its address, and a second node.

    Steps:
    1. Migrate it; renew the guest's lease and connect; reboot the guest, wait for its address and connect.
    2. Do so three times.

    Expected:
    * Every migration succeeds, one of them back to the first node.
    * After each the guest connects, before the reboot and after it.
    """
    trips = journey.made()
    assert len(trips) == TRIPS, f"after {len(trips)} migrations no further one: {journey.obstacle}"
    assert journey.stay.view.node in [trip.node for trip in trips]
    for trip in trips:
        measure(trip.renewed.measured(f"renewed on {trip.node}", "from the end of the migration: lease and TCP"))
        measure(trip.reboot.leased.measured(f"lease on {trip.node}", "from the guest's answer after its reboot"))
        measure(trip.reboot.connected.measured(f"connected on {trip.node}", "from that lease: TCP from the guest"))

from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.reach import RoundTrip

SIZE = 100_000_000


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-010")
def test_a_hundred_megabytes_arrive_intact(round_trip: RoundTrip, measure: Measure) -> None:
    """100 MB go through one TCP connection in each direction, and arrive as they were sent.

    Preconditions:
    * A running VM whose guest has its address, with an echo server in it.

    Steps:
    1. Send 100 MB to the server from a pod on its node, on a secondary network from a second VM, and read what comes
       back.

    Expected:
    * All of it comes back, and its checksum is that of what was sent.
    """
    echo = round_trip.stream(SIZE)
    measure(echo)
    assert echo.received == SIZE, f"{echo.received} bytes came back from {echo.host}: {echo.error}"
    assert echo.intact, f"what came back from {echo.host} is not what was sent"

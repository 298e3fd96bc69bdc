from __future__ import annotations

import pytest

from fixtures.measure import Measure
from fixtures.mute import MuteVmi


@pytest.mark.requirement("HOOK-008")
def test_vmi_without_a_socket_is_given_up(mute_vmi: MuteVmi, measure: Measure) -> None:
    """A VMI whose sidecar never opens a socket ends Failed instead of waiting for ever.

    Preconditions:
    * The binding is registered under a second name, with an image that serves no hooks.

    Steps:
    1. Create a VMI whose interface has that name, and wait for its end.

    Expected:
    * It is Failed within the time limit, and has never been Running.
    """
    measure(mute_vmi.wait_given_up())

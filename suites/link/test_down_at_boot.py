from __future__ import annotations

import pytest

from fixtures.links import LinkStory
from fixtures.measure import Measure


@pytest.mark.xdist_group("link")
@pytest.mark.requirement("LINK-001")
def test_link_is_down_from_the_start(link: LinkStory, measure: Measure) -> None:
    """With state down in the spec the guest has no carrier from the start, and the status says down.

    Preconditions:
    * A VM created with state down on its interface.

    Steps:
    1. Log in on the console, and read the carrier of the NIC and linkState.

    Expected:
    * Both are down, and stay so.
    """
    measure(link.sights["down at boot"].measured("link down", "from the login until status and carrier were down"))

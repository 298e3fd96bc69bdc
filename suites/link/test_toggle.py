from __future__ import annotations

import pytest

from fixtures.links import LinkStory
from fixtures.measure import Measure


@pytest.mark.xdist_group("link")
@pytest.mark.requirement("LINK-002")
def test_link_follows_the_spec(link: LinkStory, measure: Measure) -> None:
    """Changing the state of a running VM reaches the guest, in both directions, without RestartRequired.

    Preconditions:
    * A running VM created with state down on its interface.

    Steps:
    1. Set state up in the VM, and wait for the carrier.
    2. Set it down, and wait.

    Expected:
    * Carrier and linkState follow within 60 s each time.
    * The VM has no condition RestartRequired.
    """
    for moment in ("set up", "set down"):
        measure(link.sights[moment].measured(f"link {moment}", "from the change until status and carrier followed"))
    assert not link.restart, "KubeVirt asks for a restart"

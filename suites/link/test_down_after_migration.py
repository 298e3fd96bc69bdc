from __future__ import annotations

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.links import LinkStory
from fixtures.measure import Measure


@pytest.mark.xdist_group("link")
@pytest.mark.requirement("LINK-003")
def test_link_stays_down_over_a_migration(link: LinkStory, measure: Measure) -> None:
    """A link that is down stays down over a migration, and over a link-refresh.

    Preconditions:
    * A running VM whose interface was set down, and a second node.

    Steps:
    1. Migrate it.

    Expected:
    * Carrier and linkState are down on the other node, and stay so.
    """
    if "migrated" not in link.sights:
        raise Inconclusive(f"needs a migrated VM; MIG-003 judges why there is none: {link.obstacle}")
    measure(link.sights["migrated"].measured("link down", "from the migration until it was seen to stay down"))

from __future__ import annotations

import pytest

from fixtures.secondary import Companion


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("OBS-005")
def test_secondary_is_known_from_multus(companion: Companion) -> None:
    """A secondary interface has multus-status among its sources.

    Preconditions:
    * A running VM with a secondary interface of the binding.

    Steps:
    1. Read infoSource in the status.

    Expected:
    * It has multus-status.
    """
    source = companion.secondary().info_source
    assert "multus-status" in source, f"infoSource is {', '.join(source)}"

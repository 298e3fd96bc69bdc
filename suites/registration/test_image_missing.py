from __future__ import annotations

import pytest

from fixtures.latecomers import CONNECTED
from fixtures.measure import Measure
from fixtures.unpullable import Pulling


@pytest.mark.requirement("REG-011")
def test_missing_image_is_named_and_its_arrival_helps(pulling: Pulling, measure: Measure) -> None:
    """While the sidecar image cannot be pulled the VMI says so, and nothing else crashes; with it the VMI goes on.

    Preconditions:
    * The binding is registered under a second name, with a sidecar image that does not exist.

    Steps:
    1. Create a VMI whose interface has that name, and wait until one of its conditions names the image.
    2. Give its pod's sidecar the binding's own image.

    Expected:
    * A condition names the image; the VMI does not run, and no other container has crashed.
    * Afterwards its pod comes up: the VMI is Scheduled or Running.
    """
    assert pulling.phase not in CONNECTED, f"the VMI is {pulling.phase} though {pulling.image} does not exist"
    assert any(pulling.image in text for text in pulling.said), f"no condition names {pulling.image}: {pulling.said}"
    assert not pulling.crashed, f"other containers of the pod crash: {', '.join(pulling.crashed)}"
    measure(pulling.recovered.measured("recovery", "from the pod's having an image that is there to Scheduled"))

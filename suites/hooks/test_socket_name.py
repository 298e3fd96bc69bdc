from __future__ import annotations

import pytest

from fixtures.twinsidecars import TwinSidecars


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("HOOK-009")
def test_socket_names_differ(twin_sidecars: TwinSidecars) -> None:
    """Two registrations of one sidecar image can serve one VM: KubeVirt counts sidecars by the file names of sockets.

    Preconditions:
    * Two containers of the sidecar's image in a pod of their own, each as KubeVirt starts it, one for another binding.

    Steps:
    1. List the files in the directories for sockets once both have made theirs.

    Expected:
    * Their names differ.
    """
    names = twin_sidecars.socket_names()
    assert len(set(names)) == len(names), f"two containers have their sockets under one name: {', '.join(names)}"

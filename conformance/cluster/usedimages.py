"""The images of the lock that a run has on a cluster: the suite's own, its guests', and what the binding names."""

from __future__ import annotations

import json
from typing import Final

from conformance.guest.image import DEFAULT, profiles
from conformance.images.lock import ImagesLock, LockedImage
from conformance.model import Binding
from conformance.site import Site

CLIENT: Final = "docker.io/library/python"
CLIENT_TAG: Final = "3.13-alpine"
"""Of client pods and of the node observer."""
PAUSE: Final = "registry.k8s.io/pause"
"""What runs until it is told to end, and does nothing."""


def used_images(lock: ImagesLock, binding: Binding, site: Site, guest: str) -> tuple[LockedImage, ...]:
    """Those of a run with the guests of a profile (the usual one where it is empty), unless the site has its own."""
    used = [lock.image(CLIENT, CLIENT_TAG)]
    if site.guest is None:
        used.append(lock.image(profiles()[guest or DEFAULT].repository))
    sidecar = binding.registration.sidecar_image if binding.registration else ""
    if sidecar:
        used.append(lock.image(PAUSE))
    return (*used, *lock.named(f"{json.dumps(binding.manifests)} {sidecar}"))

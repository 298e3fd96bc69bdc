"""Which servers a behaviour applies to: the marker `since`, which every test of this suite has.

`since(kubernetes="1.26", kubevirt="1.9")` names the oldest releases that behave so, as far as it is known. 1.26 is the
oldest Kubernetes that a KubeVirt with network binding plugins (v1.1) supports. Others are later: `v2` of aggregated
discovery (1.30, KEP-3352), initial events in a watch (on since 1.34, KEP-3157), `create` for a websocket (1.35, gate
AuthorizePodWebsocketUpgradeCreatePermission; recorded on 1.36), SelfSubjectReview v1 (1.28, KEP-3325). KubeVirt 1.9 is
where wording was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

NAME = "since"
_PRODUCTS = ("kubernetes", "kubevirt")
Release = tuple[int, int]


def release(version: str) -> Release:
    """Major and minor of `v1.36.2`, `1.26` or `v1.30.4+k3s1`. ValueError for anything else."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None:
        raise ValueError(f"{version!r} is no version")
    return int(found[1]), int(found[2])


def misuse(marker: pytest.Mark | None) -> str:
    """What is wrong with a test's marker; nothing if it says what it has to."""
    if marker is None:
        return "has no marker since(kubernetes=..., kubevirt=...)"
    if marker.args or not marker.kwargs or set(marker.kwargs) - set(_PRODUCTS):
        return f"since() takes {' and '.join(_PRODUCTS)}, by name"
    try:
        for oldest in marker.kwargs.values():
            release(oldest)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def too_old(marker: pytest.Mark, running: Mapping[str, str]) -> str:
    """Why the servers that run are none that the test applies to; nothing if they are. A product may be missing."""
    for product, oldest in marker.kwargs.items():
        version = running.get(product)
        if version is None:
            return f"there is no {product}"
        if release(version) < release(oldest):
            return f"{product} {version} is older than {oldest}"
    return ""

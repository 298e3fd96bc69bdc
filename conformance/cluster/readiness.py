"""When an object that was applied is ready, by kind."""

from __future__ import annotations

from collections.abc import Callable

from conformance.kube.manifest import CRD, DAEMON_SET, DEPLOYMENT, POD, Kind, Manifest, dig, is_true


def daemon_set_ready(seen: Manifest) -> bool:
    """Whether a DaemonSet runs, as last changed, on every node that it is for."""
    status = dig(seen, "status", default={})
    wanted = status.get("desiredNumberScheduled", 0)
    observed = status.get("observedGeneration", 0) >= dig(seen, "metadata", "generation", default=0)
    return bool(observed and wanted > 0 and status.get("numberReady", 0) >= wanted)


READY: dict[Kind, Callable[[Manifest], bool]] = {
    DAEMON_SET: daemon_set_ready,
    DEPLOYMENT: lambda seen: is_true(seen, "Available"),
    CRD: lambda seen: is_true(seen, "Established"),
    POD: lambda seen: is_true(seen, "Ready"),
}
"""Kinds that are not listed are ready once they are stored."""

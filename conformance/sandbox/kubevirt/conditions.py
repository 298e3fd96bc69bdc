"""Conditions of KubeVirt objects: set, compared and timed as KubeVirt does."""

from __future__ import annotations

from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.events import timestamp

_COMPUTE: Final = "compute"


def find(obj: Object, kind: str) -> Object | None:
    """The condition of that type, or None."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    condition = find(obj, kind)
    return condition is not None and condition["status"] == "True"


def is_started(pod: Object) -> bool:
    """Whether KubeVirt takes a launcher pod for one in which a VM can start or arrive: everything is ready but compute,
    which only has to run, for a readiness probe of it asks the guest.
    """
    status = pod.get("status", {})
    containers = status.get("containerStatuses") or []
    started = ("running" in c.get("state", {}) if c["name"] == _COMPUTE else c["ready"] for c in containers)
    return status.get("phase") == "Running" and bool(containers) and all(started)


def put(obj: Object, kind: str, holds: bool, reason: str = "", message: str = "") -> None:
    """Set a condition; its transition time moves only when the status turns."""
    conditions: list[Object] = obj.setdefault("status", {}).setdefault("conditions", [])
    wanted: Object = {"type": kind, "status": "True" if holds else "False"}
    wanted |= {name: value for name, value in (("reason", reason), ("message", message)) if value}
    old = find(obj, kind)
    if old is not None and {k: old.get(k) for k in ("status", "reason", "message")} == {
        k: wanted.get(k) for k in ("status", "reason", "message")
    }:
        return
    turned = old is None or old["status"] != wanted["status"]
    wanted["lastProbeTime"] = None
    wanted["lastTransitionTime"] = timestamp() if turned or old is None else old.get("lastTransitionTime")
    if old is None:
        conditions.append(wanted)
    else:
        conditions[conditions.index(old)] = wanted


def drop(obj: Object, kind: str) -> None:
    """Remove a condition."""
    status = obj.get("status", {})
    if kept := [c for c in status.get("conditions") or [] if c["type"] != kind]:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)


def enter_phase(obj: Object, phase: str) -> None:
    """Set `status.phase` and note when it was first entered."""
    status = obj.setdefault("status", {})
    if status.get("phase") == phase:
        return
    status["phase"] = phase
    stamps = status.setdefault("phaseTransitionTimestamps", [])
    if all(stamp["phase"] != phase for stamp in stamps):
        stamps.append({"phase": phase, "phaseTransitionTimestamp": timestamp()})

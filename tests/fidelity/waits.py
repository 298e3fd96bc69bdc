"""The recorded waits in words, as conditions on what the recorder sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tests.fidelity.recorder import Recorder
from tests.fidelity.recording import Object, dig, objects, text

Condition = Callable[[], bool]
_VMI: Final = "VirtualMachineInstance"
_VMIM: Final = "VirtualMachineInstanceMigration"
_HTTP: Final = re.compile(r"HTTP to guest (\w+)")


class UnknownWaitError(LookupError):
    """A recorded wait that this module has no condition for."""


def http_guest(what: str) -> str | None:
    """The VMI that a wait for HTTP is about; None for every other wait."""
    match = _HTTP.fullmatch(what)
    return match[1] if match else None


def condition(recorder: Recorder, what: str) -> Condition:
    """The condition that `what` means. Raises UnknownWaitError."""
    for pattern, make in _CONDITIONS:
        if match := re.fullmatch(pattern, what):
            return make(recorder, *match.groups())
    raise UnknownWaitError(what)


def _phase(recorder: Recorder, name: str, phases: str) -> Condition:
    return lambda: text(dig(recorder.get(_VMI, name), "status", "phase")) in phases.split(" or ")


def _vmi_gone(recorder: Recorder, name: str = "v") -> Condition:
    return lambda: recorder.get(_VMI, name) is None


def _all_gone(recorder: Recorder) -> Condition:
    return lambda: not any(recorder.all(kind) for kind in ("VirtualMachine", _VMI)) and not launchers(recorder)


def _pods_gone(recorder: Recorder) -> Condition:
    return lambda: not launchers(recorder)


def _migration(recorder: Recorder, name: str, phases: str) -> Condition:
    return lambda: text(dig(recorder.get(_VMIM, name), "status", "phase")) in phases.split(" or ")


def _migration_gone(recorder: Recorder, name: str | None = None) -> Condition:
    if name is None:
        return lambda: not recorder.all(_VMIM)
    return lambda: recorder.get(_VMIM, name) is None


def _live_migratable(recorder: Recorder, status: str | None = None) -> Condition:
    def holds() -> bool:
        conditions = objects(dig(recorder.get(_VMI, "v"), "status", "conditions"))
        said = [c.get("status") for c in conditions if c.get("type") == "LiveMigratable"]
        return said == [status] if status else bool(said)

    return holds


def _seen_in_vmi(recorder: Recorder, *path: str) -> Condition:
    """Two different values at `path` of the VMI so far."""

    def holds() -> bool:
        states = (event.object for event in recorder.seen() if event.kind == _VMI)
        return len({text(dig(state, *path)) for state in states} - {""}) > 1

    return holds


def _link_state(recorder: Recorder, wanted: str) -> Condition:
    def holds() -> bool:
        entries = objects(dig(recorder.get(_VMI, "v"), "status", "interfaces"))
        return [entry.get("linkState") for entry in entries] == [wanted]

    return holds


def _pod_of(recorder: Recorder, vmi: str) -> Condition:
    return lambda: any(
        text(dig(pod, "metadata", "name")).startswith(f"virt-launcher-{vmi}-") for pod in launchers(recorder)
    )


def launchers(recorder: Recorder) -> list[Object]:
    """The launcher pods there are."""
    return [pod for pod in recorder.all("Pod") if dig(pod, "metadata", "labels", "kubevirt.io") == "virt-launcher"]


_CONDITIONS: Final[tuple[tuple[str, Callable[..., Condition]], ...]] = (
    (r"VMI (\w+) phase (\w+)", _phase),
    (r"(?:VMI )?(Running or Failed|Running|Failed)", lambda recorder, phases: _phase(recorder, "v", phases)),
    (r"VMI (\w+) gone", _vmi_gone),
    (r"VMI gone", _vmi_gone),
    (r"gone", _all_gone),
    (r"(?:launcher )?pods gone", _pods_gone),
    (r"VMIM (\w+) finished", lambda recorder, name: _migration(recorder, name, "Succeeded or Failed")),
    (r"(m\d) (\w+)", _migration),
    (r"VMIM gone", _migration_gone),
    (r"VMIM (\w+) gone", _migration_gone),
    (r"LiveMigratable", _live_migratable),
    (r"(?:LiveMigratable )?(True|False)(?: again| without .*| after .*)?", _live_migratable),
    (r"node changed", lambda recorder: _seen_in_vmi(recorder, "status", "nodeName")),
    (r"new VMI uid", lambda recorder: _seen_in_vmi(recorder, "metadata", "uid")),
    (r"linkState (up|down)", _link_state),
    (r"launcher pod created", lambda recorder: _pod_of(recorder, "v")),
    (r"pod for (\w+)", _pod_of),
)

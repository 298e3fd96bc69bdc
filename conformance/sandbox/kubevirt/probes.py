"""Readiness and liveness probes of a VMI: what admission says of them, and those of the compute container.

Sources: KubeVirt `pkg/virt-controller/services` (rendercontainer.go, template.go), `vmi-create-admitter.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt.ruleview import INVALID, REQUIRED, RuleView
from conformance.sandbox.launcher.domain import domain_name

_KINDS: Final = ("readinessProbe", "livenessProbe")
_HANDLERS: Final = ("httpGet", "tcpSocket", "exec", "guestAgentPing")
_BY_NETWORK: Final = ("httpGet", "tcpSocket")
_LIBVIRT_START_SECONDS: Final = 10
_PROBE_DEFAULTS: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROGRAM: Final = "virt-probe"


def probe_causes(view: RuleView) -> Iterator[Cause]:
    """What the webhook has against the probes."""
    given = [(f"{view.root}.{kind}", view.body[kind]) for kind in _KINDS if view.body.get(kind) is not None]
    for path, probe in given:
        handlers = [name for name in _HANDLERS if probe.get(name) is not None]
        if len(handlers) > 1:
            yield Cause(INVALID, f"{path} must have exactly one probe type set", path)
        if not handlers:
            choices = f"either {path}.tcpSocket, {path}.exec or {path}.httpGet must be set if a {path} is specified"
            yield Cause(REQUIRED, choices, path)
    if not any(network.get("pod") is not None for network, _ in view.networks()):
        for path, probe in given:
            for name in _BY_NETWORK:
                if probe.get(name) is not None:
                    text = f"{path}.{name} is only allowed if the Pod Network is attached"
                    yield Cause(INVALID, text, f"{path}.{name}")


def probes(vmi: Object) -> Object:
    """The probe fields of the compute container: those of the VMI, later by the time that libvirt takes to start."""
    return {kind: _of_compute(vmi, vmi["spec"][kind]) for kind in _KINDS if vmi["spec"].get(kind)}


def _of_compute(vmi: Object, given: Object) -> Object:
    probe = {**_PROBE_DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    probe["initialDelaySeconds"] = (given.get("initialDelaySeconds") or 0) + _LIBVIRT_START_SECONDS
    ping, command = probe.pop("guestAgentPing", None), (given.get("exec") or {}).get("command") or []
    if ping is None and (not command or command[0] == _PROGRAM):
        return probe
    words = [_PROGRAM, "--domainName", domain_name(vmi), "--timeoutSeconds", str(probe["timeoutSeconds"])]
    words += ["--guestAgentPing"] if ping is not None else ["--command", command[0], "--", *command[1:]]
    return probe | {"exec": {"command": words}, "timeoutSeconds": probe["timeoutSeconds"] + 1}

"""What the containers of a launcher pod ask for.

Sources: KubeVirt `pkg/virt-controller/services/renderresources.go`, `pkg/hypervisor/kvm` (1.8),
`pkg/network/resources/memory.go`; numbers that change with the version stand in the table of facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import quantity, spec
from conformance.sandbox.kubevirt.facts import VersionFacts

OVERHEAD_ANNOTATION: Final = "kubevirt.io/memory-overhead-bytes"
_MEBIBYTE: Final = 2**20
_CPU_SHARE_MILLIS: Final = 100
"""What one virtual CPU asks for: a tenth of a CPU, KubeVirt's default allocation ratio."""
_DISK: Final[Object] = {
    "limits": {"cpu": "10m", "memory": "40M"},
    "requests": {"cpu": "1m", "ephemeral-storage": "50M", "memory": "1M"},
}
_PER_CPU_MEBIBYTES: Final = 8
_IO_THREAD_MEBIBYTES: Final = 8
_GUARANTEED_MEBIBYTES: Final = 100
_SIDECAR_GUARANTEED: Final = {"cpu": "200m", "memory": "64M"}
_DEVICES: Final = {"devices.kubevirt.io/tun": "1"}
_DEFAULT_GUEST_MEMORY: Final = "256Mi"


def overhead_bytes(vmi: Object, registered: spec.Registrations, facts: VersionFacts) -> int:
    """What compute asks for on top of the guest's memory: its processes, the devices, the plugins once each."""
    kilobytes = -(-_guest_memory(vmi) // 1000)
    page_tables = kilobytes * 1000 // 512
    mebibytes = facts.fixed_overhead_mebibytes + _IO_THREAD_MEBIBYTES + _PER_CPU_MEBIBYTES * _cpus(vmi)
    if _devices(vmi).get("autoattachGraphicsDevice", True):
        mebibytes += facts.video_overhead_mebibytes
    if is_guaranteed(vmi):
        mebibytes += _GUARANTEED_MEBIBYTES
    mebibytes += _core_mebibytes(vmi, facts)
    return page_tables + mebibytes * _MEBIBYTE + _plugin_bytes(vmi, registered)


def memory_overhead(pod: Object) -> str | None:
    """The overhead that a launcher pod was rendered with, as a quantity; None where pods do not say (before 1.8)."""
    size = (pod["metadata"].get("annotations") or {}).get(OVERHEAD_ANNOTATION)
    return None if size is None else quantity.to_kibibytes(int(size))


def compute_resources(vmi: Object, overhead: int, networks: Mapping[str, int]) -> Object:
    """Requests and limits of compute; a guaranteed VM's limits get the overhead too.

    `networks` counts the device plugins' resources that the VMI's networks name.
    """
    tun = _DEVICES if spec.interfaces(vmi) else {}
    devices = tun | {name: str(count) for name, count in networks.items()}
    memory = quantity.to_kibibytes(_guest_memory(vmi) + overhead)
    given = _resources(vmi)
    requests = {"cpu": f"{_CPU_SHARE_MILLIS * _cpus(vmi)}m", "ephemeral-storage": "50M"} | (given.get("requests") or {})
    limits = dict(given.get("limits") or {})
    if "memory" in limits:
        limits["memory"] = quantity.to_kibibytes(quantity.to_bytes(limits["memory"]) + overhead)
    if (vmi["spec"]["domain"].get("cpu") or {}).get("dedicatedCpuPlacement"):
        cpus = str(_cpus(vmi))
        requests["cpu"] = limits["cpu"] = cpus
        limits["memory"] = memory
    limits |= devices
    return ({"limits": limits} if limits else {}) | {"requests": requests | devices | {"memory": memory}}


def sidecar_resources(vmi: Object) -> Object:
    """Nothing, unless the VM is guaranteed or has CPUs of its own."""
    if not is_guaranteed(vmi):
        return {}
    return {"limits": dict(_SIDECAR_GUARANTEED), "requests": dict(_SIDECAR_GUARANTEED)}


def disk_resources(vmi: Object) -> Object:
    """A container disk's; what is guaranteed asks for all it may use."""
    limits = dict(_DISK["limits"])
    return {"limits": limits, "requests": dict(limits if is_guaranteed(vmi) else _DISK["requests"])}


def is_guaranteed(vmi: Object) -> bool:
    """Whether the VM asks for dedicated CPUs, or for as much CPU and memory as its limits are."""
    if (vmi["spec"]["domain"].get("cpu") or {}).get("dedicatedCpuPlacement"):
        return True
    resources = _resources(vmi)
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return all(limits.get(name) and limits[name] == requests.get(name) for name in ("cpu", "memory"))


def _resources(vmi: Object) -> dict[str, Any]:
    found: dict[str, Any] = vmi["spec"]["domain"].get("resources") or {}
    return found


def _devices(vmi: Object) -> dict[str, Any]:
    found: dict[str, Any] = vmi["spec"]["domain"].get("devices") or {}
    return found


def _guest_memory(vmi: Object) -> int:
    requested = (_resources(vmi).get("requests") or {}).get("memory")
    guest = (vmi["spec"]["domain"].get("memory") or {}).get("guest")
    return quantity.to_bytes(requested or guest or _DEFAULT_GUEST_MEMORY)


def _cpus(vmi: Object) -> int:
    cpu = vmi["spec"]["domain"].get("cpu") or {}
    return int(cpu.get("cores", 1)) * int(cpu.get("sockets", 1)) * int(cpu.get("threads", 1))


def _core_mebibytes(vmi: Object, facts: VersionFacts) -> int:
    """Core bindings: passtBinding counts once; the old passt counts for each interface that forwards all ports."""
    total = 0
    for method, mebibytes in facts.core_overhead_mebibytes.items():
        using = [interface for interface in spec.interfaces(vmi) if interface.get(method) is not None]
        if method == "passt":
            total += mebibytes * sum(1 for interface in using if not interface.get("ports"))
        elif using:
            total += mebibytes
    return total


def _plugin_bytes(vmi: Object, registered: spec.Registrations) -> int:
    """Each distinct plugin's overhead once."""
    total = 0
    for name in {name for _, name in spec.plugin_interfaces(vmi)}:
        requests = ((registered.get(name) or {}).get("computeResourceOverhead") or {}).get("requests") or {}
        total += quantity.to_bytes(requests.get("memory", 0))
    return total

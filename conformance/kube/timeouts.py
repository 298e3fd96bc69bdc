"""Deadlines on the monotonic clock, and the one table of timeouts.

Each entry of the table is either a *bound*, part of a requirement (exceeding it is non-conformant), or *patience*, how
long we are willing to wait for something no requirement limits (exceeding it is inconclusive). One factor scales both;
emulation (TCG) brings a factor of its own, because a guest without KVM is slower by about that much.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from enum import Enum


class Limit(Enum):
    """What it means when the time is over."""

    BOUND = "conformance bound"
    PATIENCE = "patience"


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock, passed down instead of a number of seconds.

    ``seconds`` is what was allowed in all, ``limit`` what exceeding it means, ``started`` and ``at`` are
    ``time.monotonic()`` seconds.
    """

    seconds: float
    limit: Limit
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def bound(cls, seconds: float) -> Deadline:
        """``seconds`` from now; past it the binding is at fault."""
        return cls(seconds, Limit.BOUND)

    @classmethod
    def patience(cls, seconds: float) -> Deadline:
        """``seconds`` from now; past it the environment is at fault."""
        return cls(seconds, Limit.PATIENCE)

    @property
    def at(self) -> float:
        return self.started + self.seconds

    def elapsed(self) -> float:
        """Seconds since the deadline was made."""
        return time.monotonic() - self.started

    def remaining(self, at_most: float | None = None) -> float:
        """Seconds left, never negative; ``at_most`` caps it, for the time-out of a single call."""
        left = max(0.0, self.at - time.monotonic())
        return left if at_most is None else min(left, at_most)

    def expired(self) -> bool:
        return time.monotonic() >= self.at


@dataclass(frozen=True)
class Timeout:
    """One row of the table: seconds (already scaled) and what exceeding them means."""

    seconds: float
    limit: Limit
    why: str

    def start(self) -> Deadline:
        """The deadline, from now."""
        return Deadline(self.seconds, self.limit)

    def __str__(self) -> str:
        return f"{self.seconds:g} s ({self.limit.value}: {self.why})"


@dataclass(frozen=True)
class Timeouts:
    """The table. Units: seconds. Take a deadline with ``timeouts.vmi_running.start()``."""

    api_ready: Timeout = Timeout(60, Limit.PATIENCE, "the API server answers /readyz")
    controllers_see_change: Timeout = Timeout(
        30, Limit.PATIENCE, "virt-controller and virt-handler notice a change of the KubeVirt CR"
    )
    nodes_ready: Timeout = Timeout(300, Limit.PATIENCE, "the nodes of a new cluster are Ready and it resolves names")
    component_ready: Timeout = Timeout(
        900, Limit.PATIENCE, "Multus or KubeVirt has pulled its images and is ready on every node"
    )
    pod_running: Timeout = Timeout(
        120, Limit.PATIENCE, "a client pod is scheduled, its image pulled and its container ready"
    )
    daemonset_ready: Timeout = Timeout(
        180, Limit.PATIENCE, "a DaemonSet of the binding's manifests is ready on every node"
    )
    deletion: Timeout = Timeout(120, Limit.PATIENCE, "a deleted object disappears")
    exec_call: Timeout = Timeout(60, Limit.PATIENCE, "a command in a pod or in a guest returns")
    connect: Timeout = Timeout(15, Limit.PATIENCE, "a stream of the API server opens")
    console_login: Timeout = Timeout(180, Limit.PATIENCE, "the guest boots and its serial console takes a login")
    daemon_back: Timeout = Timeout(120, Limit.PATIENCE, "a daemon of a node that was ended runs again")
    event_appears: Timeout = Timeout(60, Limit.PATIENCE, "an event or a condition that reports a fault appears")
    vmi_running: Timeout = Timeout(120, Limit.BOUND, "REG-001: a VMI using the binding reaches Running and Ready")
    unblocked: Timeout = Timeout(
        90,
        Limit.BOUND,
        "REG-003, REG-008: a VMI goes on once what it waited for is there (KubeVirt and kubelet back off)",
    )
    guest_lease: Timeout = Timeout(90, Limit.BOUND, "DHCP-001: the guest holds an IPv4 lease, from the login on")
    status_addresses: Timeout = Timeout(90, Limit.BOUND, "OBS-003: status.interfaces reports the addresses")
    dhcp_renew: Timeout = Timeout(30, Limit.BOUND, "DHCP-007: connectivity after an explicit renew")
    reachable: Timeout = Timeout(30, Limit.BOUND, "CONN-001: a guest with an address answers on the pod network")
    policy: Timeout = Timeout(
        30, Limit.BOUND, "CONN-011, CONN-012: a NetworkPolicy that a pod keeps to is enforced on the VM too"
    )
    migration: Timeout = Timeout(180, Limit.BOUND, "MIG-003: a VMIM reaches Succeeded")
    migration_addresses: Timeout = Timeout(30, Limit.BOUND, "MIG-005: status shows the new pod IP")
    migration_reachable: Timeout = Timeout(30, Limit.BOUND, "MIG-006: reachable at the new address")
    source_pod_gone: Timeout = Timeout(30, Limit.BOUND, "MIG-011: the source launcher pod ends")
    link_change: Timeout = Timeout(60, Limit.BOUND, "LINK-002: a toggled link state reaches the guest")
    network_change: Timeout = Timeout(
        60, Limit.BOUND, "HP-004: KubeVirt asks for a migration when a network is changed"
    )
    network_info: Timeout = Timeout(
        120, Limit.BOUND, "POD-006: the pod is told of its network (kubelets write such files anew within 90 s)"
    )
    given_up: Timeout = Timeout(
        420,
        Limit.BOUND,
        "HOOK-008: a VMI whose sidecar opens no socket is Failed (launchers wait 240 s and a random part of that)",
    )
    node_clean: Timeout = Timeout(60, Limit.BOUND, "LIFE-001: the nodes are as they were before the VM")

    def scaled(self, factor: float) -> Timeouts:
        """The same table with every entry multiplied by ``factor`` (> 0)."""
        if not factor > 0:
            raise ValueError(f"a timeout factor must be positive, not {factor!r}")
        rows = {f.name: getattr(self, f.name) for f in fields(self)}
        return Timeouts(**{name: Timeout(row.seconds * factor, row.limit, row.why) for name, row in rows.items()})

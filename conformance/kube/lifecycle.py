"""What a VMI goes through: reaching Running, its launcher pods, a live migration, and its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from conformance.kube.cluster import Cluster
from conformance.kube.errors import BoundExceeded, ImageMissing, Stopped
from conformance.kube.events import events_about
from conformance.kube.manifest import POD, VMI, Manifest, Ref, dig
from conformance.kube.outcome import NonConformant
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView, migration_manifest
from conformance.kube.wait import NOT_PULLED, describe_object, wait_for, wait_gone

SIDECAR = "hook-sidecar-"
"""How the names of a binding's own containers in a launcher pod begin."""
_ENDED = ("Failed", "Succeeded")


def wait_running(cluster: Cluster, ref: Ref, deadline: Deadline) -> VmiView:
    """Follow a VMI until it is Running and Ready. Ends early with ``Stopped`` when it failed or was deleted.

    An image that its pod lacks and that is none of the binding's is ``ImageMissing`` at the end.

    On expiry the error also carries the warning events of the VMI and of its pods: for many network faults (a missing
    NAD, a CNI that fails) nothing else names the cause.
    """
    started = False

    def over(seen: Manifest | None) -> bool:
        nonlocal started
        started = started or seen is not None
        return (seen is None and started) or (seen is not None and dig(seen, "status", "phase") in _ENDED)

    try:
        found = wait_for(
            cluster,
            ref,
            f"{ref} is Running and Ready",
            lambda seen: seen is not None and VmiView.of(seen).ready,
            deadline,
            stop_if=over,
            saw=lambda seen: "; ".join([describe_object(seen), *warnings(cluster, ref)]),
        )
    except BoundExceeded as error:
        if image := _missing_image(cluster, ref):
            why = f"no launcher: {image} is not pulled; gave up"
            raise ImageMissing(error.wanted, error.seen, error.seconds, why) from error
        raise
    if found is None:
        raise NonConformant(f"{ref} disappeared")
    return VmiView.of(found)


def _missing_image(cluster: Cluster, ref: Ref) -> str:
    """An image of KubeVirt's own that a launcher pod of the VMI waits for; empty where it waits for none."""
    vmi = cluster.find(ref)
    for pod in launcher_pods(cluster, VmiView.of(vmi)) if vmi else ():
        for field in ("initContainerStatuses", "containerStatuses"):
            for status in dig(pod, "status", field, default=[]):
                waits = dig(status, "state", "waiting", "reason", default="") in NOT_PULLED
                if waits and not status["name"].startswith(SIDECAR):
                    return str(status["image"])
    return ""


def warnings(cluster: Cluster, ref: Ref, at_most: int = 5) -> list[str]:
    """The last Warning events about the object and, for a VMI, its launcher pods: ``reason: message``."""
    found = [event for event in events_about(cluster, ref) if event.type == "Warning"]
    return [f"{event.kind} {event.reason}: {event.message}" for event in found[-at_most:]]


def launcher_pods(cluster: Cluster, vmi: VmiView) -> tuple[Manifest, ...]:
    """Every launcher pod of the VMI (label ``kubevirt.io/created-by``), oldest first, ended ones included."""
    pods = cluster.list(POD, vmi.namespace, labels=f"kubevirt.io=virt-launcher,kubevirt.io/created-by={vmi.uid}")
    return tuple(sorted(pods.items, key=lambda pod: str(dig(pod, "metadata", "creationTimestamp", default=""))))


def launcher_pod(cluster: Cluster, vmi: VmiView) -> Manifest:
    """The launcher pod the VMI runs in now: the live one on ``status.nodeName``.

    Raises :class:`~conformance.kube.outcome.NonConformant` when there is none.
    """
    pods = [pod for pod in launcher_pods(cluster, vmi) if dig(pod, "status", "phase") not in _ENDED]
    on_node = [pod for pod in pods if dig(pod, "spec", "nodeName") == vmi.node]
    if not on_node:
        found = [f"{dig(p, 'metadata', 'name')} on {dig(p, 'spec', 'nodeName')}" for p in pods]
        raise NonConformant(f"VMI {vmi.namespace}/{vmi.name} is on {vmi.node!r} but has no live pod there: {found}")
    return on_node[-1]


def pod_ips(pod: Manifest) -> tuple[str, ...]:
    """``status.podIPs`` of a pod."""
    return tuple(entry["ip"] for entry in dig(pod, "status", "podIPs", default=[]))


@dataclass(frozen=True)
class MigrationResult:
    """One finished migration: the VMIM, the VMI before and after, the source pod, ``seconds`` from creation to end."""

    migration: Manifest
    before: VmiView
    after: VmiView
    source_pod: Ref
    target_pod: Ref
    seconds: float


def migrate(cluster: Cluster, ref: Ref, deadline: Deadline, node: str = "") -> MigrationResult:
    """Migrate a VMI to another node, or to ``node``, and wait until the VMIM has Succeeded.

    Raises ``Stopped`` when the VMIM fails, with the reason KubeVirt gives in the VMI's ``status.migrationState``.
    """
    before = VmiView.of(cluster.get(ref))
    source = Ref.of(launcher_pod(cluster, before))
    started = time.monotonic()
    made = cluster.create(migration_manifest(ref.name, ref.namespace, node=node))
    vmim = Ref.of(made)

    def saw(seen: Manifest | None) -> str:
        state = dig(cluster.find(ref) or {}, "status", "migrationState", default={})
        return "; ".join([describe_object(seen), f"VMI migrationState {state}", *warnings(cluster, ref)])

    try:
        done = wait_for(
            cluster,
            vmim,
            f"{vmim} has Succeeded",
            lambda seen: dig(seen or {}, "status", "phase") == "Succeeded",
            deadline,
            stop_if=lambda seen: seen is None or dig(seen, "status", "phase") == "Failed",
            saw=saw,
        )
    except Stopped as error:
        raise Stopped(error.wanted, error.seen, error.seconds, "the migration failed") from error
    seconds = time.monotonic() - started
    after = VmiView.of(cluster.get(ref))
    return MigrationResult(done or made, before, after, source, Ref.of(launcher_pod(cluster, after)), seconds)


def delete_vmi(cluster: Cluster, ref: Ref, deadline: Deadline) -> None:
    """Delete a VM or VMI and follow it, then its launcher pods, until all are gone."""
    seen = cluster.find(VMI.ref(ref.name, ref.namespace))
    pods = launcher_pods(cluster, VmiView.of(seen)) if seen else ()
    cluster.delete(ref)
    wait_gone(cluster, ref, deadline)
    if seen:
        wait_gone(cluster, Ref.of(seen), deadline)
    for pod in pods:
        wait_gone(cluster, Ref.of(pod), deadline)
    if cluster.ledger:
        cluster.ledger.forget(ref)

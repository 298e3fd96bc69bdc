"""What a user does to a running VM from outside: stop, start, restart, pause, change an interface's link state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from conformance.kube.cluster import Cluster
from conformance.kube.lifecycle import wait_running
from conformance.kube.manifest import VM, VMI, Manifest, Ref, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_for, wait_gone

_SUBRESOURCES = "/apis/subresources.kubevirt.io/v1"
_INTERFACES = "/spec/template/spec/domain/devices/interfaces"
_NETWORKS = "/spec/template/spec/networks"


def stop(cluster: Cluster, name: str, namespace: str, deadline: Deadline) -> None:
    """Stop a VM and follow it until its instance is gone."""
    _act(cluster, "virtualmachines", name, namespace, "stop")
    wait_gone(cluster, VMI.ref(name, namespace), deadline)


def start(cluster: Cluster, name: str, namespace: str, deadline: Deadline) -> VmiView:
    """Start a VM and wait until its instance is Running and Ready."""
    _act(cluster, "virtualmachines", name, namespace, "start")
    return wait_running(cluster, VMI.ref(name, namespace), deadline)


def restart(cluster: Cluster, name: str, namespace: str, deadline: Deadline) -> VmiView:
    """Restart a VM and wait until its new instance is Running and Ready."""
    before = VmiView.of(cluster.get(VMI.ref(name, namespace)))
    _act(cluster, "virtualmachines", name, namespace, "restart")
    return wait_another(cluster, before, deadline)


def wait_another(cluster: Cluster, before: VmiView, deadline: Deadline) -> VmiView:
    """Wait until another instance than ``before``, of the same name, is Running and Ready."""
    ref = VMI.ref(before.name, before.namespace)

    def other(seen: Manifest | None) -> bool:
        return seen is not None and dig(seen, "metadata", "uid") != before.uid

    wait_for(cluster, ref, f"another instance of {ref}", other, deadline)
    return wait_running(cluster, ref, deadline)


def pause(cluster: Cluster, ref: Ref) -> None:
    """Stop the virtual CPUs of a VMI."""
    _act(cluster, "virtualmachineinstances", ref.name, ref.namespace, "pause")


def unpause(cluster: Cluster, ref: Ref) -> None:
    """Let them run again."""
    _act(cluster, "virtualmachineinstances", ref.name, ref.namespace, "unpause")


def set_link(cluster: Cluster, ref: Ref, index: int, state: Literal["up", "down"]) -> None:
    """Set the ``state`` of a VM's interface by its position, as a user edits the VM."""
    _patch(cluster, ref, [{"op": "add", "path": f"{_INTERFACES}/{index}/state", "value": state}])


def add_interface(cluster: Cluster, ref: Ref, interface: Manifest, network: Manifest) -> None:
    """Add an interface and its network to a VM, as a user edits it."""
    changes = [
        {"op": "add", "path": f"{_INTERFACES}/-", "value": interface},
        {"op": "add", "path": f"{_NETWORKS}/-", "value": network},
    ]
    _patch(cluster, ref, changes)


def set_network(cluster: Cluster, ref: Ref, name: str, definition: str) -> None:
    """Name another NetworkAttachmentDefinition for a VM's secondary network, as a user edits the VM."""
    networks = dig(cluster.get(VM.ref(ref.name, ref.namespace)), "spec", "template", "spec", "networks")
    index = next(index for index, network in enumerate(networks) if network["name"] == name)
    change = {"op": "replace", "path": f"{_NETWORKS}/{index}/multus/networkName", "value": definition}
    _patch(cluster, ref, [change])


def restart_required(cluster: Cluster, ref: Ref) -> bool:
    """The condition RestartRequired of a VM."""
    conditions = dig(cluster.get(VM.ref(ref.name, ref.namespace)), "status", "conditions", default=[])
    return any(c["type"] == "RestartRequired" and c["status"] == "True" for c in conditions)


def _patch(cluster: Cluster, ref: Ref, changes: Sequence[dict[str, Any]]) -> None:
    cluster.patch(VM.ref(ref.name, ref.namespace), changes, type="json")


def _act(cluster: Cluster, resource: str, name: str, namespace: str, action: str) -> None:
    cluster.raw("PUT", f"{_SUBRESOURCES}/namespaces/{namespace}/{resource}/{name}/{action}", body={})

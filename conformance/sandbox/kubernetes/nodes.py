"""Node objects as kubelets, cloud providers and virt-handler together would keep them."""

from __future__ import annotations

import os
import platform

from conformance.sandbox.client import NODES, ApiClient, Object
from conformance.sandbox.events import timestamp
from conformance.sandbox.network.node import Node

_DEVICES = ("devices.kubevirt.io/tun", "devices.kubevirt.io/vhost-net")


async def register_node(client: ApiClient, node: Node, kubelet_version: str) -> None:
    """Create the Node object, Ready and schedulable for virtual machines (software emulation: no KVM device)."""
    await client.create(NODES, node_object(node, kubelet_version))
    await client.merge(NODES, None, node.name, {"status": node_status(node, kubelet_version)}, "status")


def node_object(node: Node, kubelet_version: str) -> Object:
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubevirt.io/schedulable": "true",
        "machine-type.node.kubevirt.io/q35": "true",
        "node-role.kubernetes.io/worker": "",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr, node.pod_cidr6]},
    }


def node_status(node: Node, kubelet_version: str) -> Object:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{pages * page // 1024}Ki", "pods": "110"}
    capacity |= dict.fromkeys(_DEVICES, "1k")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": timestamp(),
        "lastTransitionTime": timestamp(),
    }
    addresses = [{"type": "InternalIP", "address": a} for a in (node.address, node.address6)]
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [ready],
        "addresses": [*addresses, {"type": "Hostname", "address": node.name}],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "kernelVersion": platform.release(),
            "kubeletVersion": kubelet_version,
            "containerRuntimeVersion": "crun",
        },
    }

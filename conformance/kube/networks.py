"""Secondary networks: the one that checks may use, and what Multus reports of a pod's."""

from __future__ import annotations

import json
from dataclasses import dataclass

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import NAD, Manifest, dig

SECONDARY_LABEL = "binding-conformance/secondary-network"
"""Label of a NetworkAttachmentDefinition that the cluster's operator lets conformance runs use: a layer-2 network that
spans the nodes and has a DHCP server."""

NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"


def offered_network(cluster: Cluster) -> str:
    """``namespace/name`` of the first labelled NetworkAttachmentDefinition, empty where there is none."""
    found = cluster.list(NAD, labels=SECONDARY_LABEL).items if cluster.serves(NAD) else ()
    names = sorted(f"{nad['metadata']['namespace']}/{nad['metadata']['name']}" for nad in found)
    return names[0] if names else ""


@dataclass(frozen=True)
class AttachedNetwork:
    """One entry of the annotation ``network-status``: the network, the pod's interface, its MAC and addresses."""

    name: str
    interface: str
    mac: str
    addresses: tuple[str, ...]
    default: bool


def attached_networks(pod: Manifest) -> tuple[AttachedNetwork, ...]:
    """What Multus reports of a pod's networks, in order; empty where there is no report."""
    text = dig(pod, "metadata", "annotations", default={}).get(NETWORK_STATUS, "[]")
    return tuple(
        AttachedNetwork(
            name=entry.get("name", ""),
            interface=entry.get("interface", ""),
            mac=entry.get("mac", ""),
            addresses=tuple(entry.get("ips") or ()),
            default=bool(entry.get("default")),
        )
        for entry in json.loads(text)
    )


def requested_networks(pod: Manifest) -> tuple[Manifest, ...]:
    """The elements of a pod's annotation ``networks``, in order; empty without the annotation."""
    return tuple(json.loads(dig(pod, "metadata", "annotations", default={}).get(NETWORKS, "[]")))

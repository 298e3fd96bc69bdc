"""VMs on networks that Multus attaches, as somebody on the same network meets them: leased an address, and reached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.domain import attribute, domain_interfaces
from conformance.kube.lifecycle import launcher_pod
from conformance.kube.manifest import NAD, Manifest, Ref, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec
from conformance.model import CoreBinding
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image
from tests.sandbox.machines import NAMESPACE, SECONDS, booted, reach

NODE = "node-1"
SEGMENT_LEASES = IPv4Address("172.31.0.32"), IPv4Address("172.31.0.250")
"""What the DHCP server of the sandbox's segment lends."""


def host_local(subnet: str, first: str, last: str) -> Manifest:
    """The plugin's configuration, for a range of the subnet."""
    return {"type": "host-local", "ranges": [[{"subnet": subnet, "rangeStart": first, "rangeEnd": last}]]}


NETWORKS: dict[str, Manifest] = {
    "unnumbered": {"bridge": "br1"},
    # a bridge that the plugin makes, with nobody else on it: two DHCP servers on a network would race
    "numbered": {"bridge": "br-numbered", "ipam": host_local("172.32.0.0/24", "172.32.0.10", "172.32.0.20")},
    "default-numbered": {"bridge": "br1", "ipam": host_local("172.31.0.0/24", "172.31.0.10", "172.31.0.20")},
    "onlooker": {"bridge": "br1", "ipam": host_local("172.31.0.0/24", "172.31.0.2", "172.31.0.9")},
}
"""By name, on which bridge of the node, and how addresses are given to pods, if at all. The sandbox's segment is behind
br1, and has a DHCP server.
"""


@pytest.fixture(scope="module")
def onlooker(cluster: Cluster) -> Iterator[ClientPod]:
    """A pod on the same networks as the VMs, on their node, with an address of every subnet."""
    for name, where in NETWORKS.items():
        config = {"cniVersion": "1.0.0", "name": name, "type": "bridge", **where}
        head = {"apiVersion": NAD.api_version, "kind": NAD.kind, "metadata": {"name": name, "namespace": NAMESPACE}}
        cluster.create({**head, "spec": {"config": json.dumps(config)}})
    manifest = client_pod_manifest("onlooker", NAMESPACE, client_image(), node=NODE)
    manifest["metadata"]["annotations"] = {"k8s.v1.cni.cncf.io/networks": "onlooker,numbered"}
    pod = ClientPod.start(cluster, manifest, Deadline.patience(SECONDS))
    yield pod
    cluster.delete(pod.ref)
    for name in NETWORKS:
        cluster.delete(NAD.ref(name, NAMESPACE))


def lent_by_the_segment(address: str) -> bool:
    first, last = SEGMENT_LEASES
    return first <= IPv4Address(address) <= last


def test_core_bridge_on_secondary_networks(cluster: Cluster, onlooker: ClientPod) -> None:
    """Where the network numbers pods, KubeVirt leases the guest the pod's address; else the network's server does."""
    nics = (
        NicSpec("default", core=CoreBinding.MASQUERADE),
        NicSpec("numbered", core=CoreBinding.BRIDGE, network="numbered"),
        NicSpec("unnumbered", core=CoreBinding.BRIDGE, network="unnumbered"),
    )
    with booted(cluster, "bridges", *nics, node=NODE) as machine:
        own = machine.view.address("numbered")
        assert IPv4Address(own) in IPv4Network("172.32.0.0/24")
        assert machine.lease("numbered") == own
        assert lent_by_the_segment(machine.lease("unnumbered"))
        for network in ("numbered", "unnumbered"):
            reach(onlooker, machine, machine.lease(network))


def test_managed_tap_on_a_multus_default_network(cluster: Cluster, onlooker: ClientPod) -> None:
    """KubeVirt leases nothing: the guest's address is the network's, whatever the pod's is."""
    primary = NicSpec("default", "tapped", network="default-numbered")
    with booted(cluster, "taps", primary, multus_default=True, node=NODE) as machine:
        pod, entry = launcher_pod(cluster, machine.view), machine.view.interface("default")
        assert entry is not None
        # an IPv6 address may follow: the pod's link hears the segment's router advertisements
        assert (entry.pod_interface, entry.addresses[0]) == ("eth0", "172.31.0.10")
        assert dig(pod, "status", "podIP") == "172.31.0.10"
        [nic] = domain_interfaces(cluster, Ref.of(pod))
        assert (attribute(nic, "alias", "name"), attribute(nic, "target", "dev")) == ("ua-default", "tap0")
        assert lent_by_the_segment(machine.lease())
        reach(onlooker, machine, machine.lease())

"""The pod network's MTU reaches the guest; a packet of that size gets through, both ways and between nodes."""

from __future__ import annotations

from conformance.cluster.shape import Shape
from conformance.kube.cluster import Cluster
from conformance.kube.vmi import NicSpec
from conformance.model import CoreBinding
from conformance.traffic.pod import ClientPod
from tests.sandbox.machines import booted, reach

HEADERS = 28
"""Of IPv4 and ICMP, in bytes."""


def test_a_packet_as_large_as_the_mtu(network: Shape, cluster: Cluster, pods: dict[str, ClientPod]) -> None:
    size = network.pod_mtu - HEADERS
    peer = pods["c"]
    with booted(cluster, "large", NicSpec("default", core=CoreBinding.BRIDGE), node="node-1") as machine:
        assert machine.leased().mtu == network.pod_mtu
        reach(peer, machine, machine.lease())
        inward = peer.ping(machine.lease(), count=1, size=size, dont_fragment=True)
        assert inward.ok, inward
        outward = machine.guest.client().ping(peer.address, count=1, size=size, dont_fragment=True)
        assert outward.ok, outward
        larger = machine.guest.client().ping(peer.address, count=1, size=size + 1, dont_fragment=True)
        assert "oo long" in larger.error, larger

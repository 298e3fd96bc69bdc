"""The connections that a node remembers: UDP flows to endpoints that a Service no longer has are forgotten."""

import socket
from collections.abc import Iterable
from pathlib import Path

from pyroute2 import Conntrack
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.services import ServicePort


def forget_flows(netns: Path, ports: Iterable[ServicePort]) -> None:
    """Forget every UDP flow to one of `ports` that goes where none of its endpoints is, on the node of `netns`.

    Until then the kernel sends each further datagram of such a flow to the old endpoint, as kube-proxy knows.
    """
    endpoints = {
        (port.address, port.port): {endpoint.address for endpoint in port.endpoints}
        for port in ports
        if port.protocol == "udp"
    }
    if endpoints:
        syscalls.in_network_namespace(netns, lambda: _forget(endpoints))


def _forget(endpoints: dict[tuple[str, int], set[str]]) -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with Conntrack(nfgen_family=family) as conntrack:
            flows = list(conntrack.dump_entries(tuple_orig=NFCTAttrTuple(family=family, proto=socket.IPPROTO_UDP)))
            for flow in flows:
                to = (flow.tuple_orig.daddr, flow.tuple_orig.dport)
                if to in endpoints and flow.tuple_reply.saddr not in endpoints[to]:
                    conntrack.delete(flow)

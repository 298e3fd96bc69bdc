"""Cluster DNS: a dnsmasq on every node, at the cluster's DNS address on the node's loopback (as NodeLocal DNSCache).

Knows the API service; everything else under the cluster domain is NXDOMAIN, so that no query leaves the sandbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from conformance.sandbox.kubernetes.volumes import CLUSTER_DNS, CLUSTER_DOMAIN
from conformance.sandbox.network.node import Node

KUBERNETES_SERVICE: Final = "10.96.0.1"
_RECORDS: Final = {
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}": KUBERNETES_SERVICE,
    f"kube-dns.kube-system.svc.{CLUSTER_DOMAIN}": CLUSTER_DNS,
}


async def start_dns(node: Node) -> asyncio.subprocess.Process:
    """Serve DNS on the node; the process ends with the sandbox."""
    await node.run("ip", "address", "replace", f"{CLUSTER_DNS}/32", "dev", "lo")
    return await node.spawn(*dns_command(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)


def dns_command() -> Sequence[str]:
    """The dnsmasq command line: authoritative for the cluster domain, no upstream, no DHCP."""
    records = [f"--host-record={name},{address}" for name, address in _RECORDS.items()]
    options = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces")
    listen = (f"--listen-address={CLUSTER_DNS}", "--interface=lo", "--except-interface=none", "--user=root")
    return ("dnsmasq", *options, *listen, f"--local=/{CLUSTER_DOMAIN}/", "--local=//", *records)

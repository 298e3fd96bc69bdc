"""NetworkPolicy as a pod meets it: who gets through, on the same node and from another, in both families."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import Manifest, Ref
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.traffic.pod import ClientPod
from tests.sandbox.kubernetes.conftest import NAMESPACE_NAME

PORT = 8080
SAME_NAMESPACE: Manifest = {"from": [{"podSelector": {}}]}
OTHER_TEAM: Manifest = {"from": [{"namespaceSelector": {"matchLabels": {"team": "other"}}}]}


@pytest.fixture
def apply(cluster: Cluster) -> Iterator[list[Manifest]]:
    """Policies to have in force: those in the list are taken away at the end."""
    made: list[Manifest] = []
    yield made
    for policy in made:
        cluster.delete(Ref.of(policy))


def policy(cluster: Cluster, made: list[Manifest], **spec: object) -> None:
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    meta = {"name": f"policy-{len(made)}", "namespace": NAMESPACE_NAME}
    made.append(
        cluster.create({**body, "metadata": meta, "spec": {"podSelector": {"matchLabels": {"app": "b"}}, **spec}})
    )


def reached(pods: dict[str, ClientPod], port: int = PORT) -> dict[str, str]:
    """For each family, who opens a connection to `b`; both families have to agree pod by pod."""
    return {
        family: "".join(
            name for name in "acd" if pods[name].tcp_connect(pods["b"].addresses[index], port, timeout=0.7).ok
        )
        for index, family in enumerate(("IPv4", "IPv6"))
    }


def expect(pods: dict[str, ClientPod], who: str, port: int = PORT) -> None:
    """`who` reaches `b` and nobody else does, before long."""
    wanted = {"IPv4": who, "IPv6": who}
    wait_until(f"{who or 'nobody'} reaches b", lambda: reached(pods, port), Deadline.patience(15), until=wanted.__eq__)


def test_ingress(cluster: Cluster, pods: dict[str, ClientPod], apply: list[Manifest]) -> None:
    with pods["b"].serve("tcp", port=PORT, family=6):
        expect(pods, "acd")
        policy(cluster, apply, policyTypes=["Ingress"])
        expect(pods, "")
        policy(cluster, apply, ingress=[SAME_NAMESPACE])
        expect(pods, "ac")
        policy(cluster, apply, ingress=[OTHER_TEAM | {"ports": [{"port": "web"}]}])
        expect(pods, "acd")


def test_ports_and_address_blocks(cluster: Cluster, pods: dict[str, ClientPod], apply: list[Manifest]) -> None:
    left_out = dict(zip((32, 128), pods["d"].addresses, strict=True))
    blocks = [
        {"ipBlock": {"cidr": cidr, "except": [f"{left_out[bits]}/{bits}"]}}
        for cidr, bits in (("10.244.0.0/16", 32), ("fd00:10:244::/48", 128))
    ]
    policy(cluster, apply, ingress=[{"from": blocks, "ports": [{"port": 8000, "endPort": 8100}]}])
    with pods["b"].serve("tcp", port=PORT, family=6), pods["b"].serve("tcp", port=8101, family=6):
        expect(pods, "ac")
        expect(pods, "", port=8101)


def test_egress(cluster: Cluster, pods: dict[str, ClientPod], apply: list[Manifest]) -> None:
    chosen = {"podSelector": {"matchLabels": {"app": "a"}}}
    with pods["b"].serve("tcp", port=PORT, family=6), pods["c"].serve("tcp", port=PORT, family=6):
        policy(cluster, apply, policyTypes=["Egress"], **chosen)
        expect(pods, "cd")
        to = [{"to": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": "web"}]}]
        policy(cluster, apply, policyTypes=["Egress"], egress=to, **chosen)
        expect(pods, "acd")
        assert not pods["a"].tcp_connect(pods["c"].address, PORT, timeout=0.7).ok
        assert not pods["a"].tcp_connect("203.0.113.10", 80, timeout=0.7).ok
        assert pods["c"].tcp_connect("203.0.113.10", 80, timeout=5).ok

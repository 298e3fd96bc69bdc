"""Services, names, the API and the world outside, as a pod meets them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import pytest

from conformance.cluster.shape import Shape
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import Manifest, Ref, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image
from tests.sandbox.kubernetes.conftest import NAMESPACE_NAME, Run

RESOLVE = """
import json, socket, sys
answers = {}
for name in sys.argv[1:]:
    try:
        answers[name] = sorted({a[4][0] for a in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        answers[name] = error.args[1]
print(json.dumps(answers))
"""
# A query for an A record over TCP, by hand: a resolver would use TCP only for an answer too long for UDP.
BY_TCP = """
import json, socket, struct, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[1].split(".")) + b"\\0"
query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)
with socket.create_connection(("10.96.0.10", 53), 5) as peer:
    peer.sendall(struct.pack("!H", len(query)) + query)
    answer = peer.makefile("rb").read(2 + len(query) + 16)
print(json.dumps(socket.inet_ntoa(answer[-4:])))
"""
GET = """
import json, ssl, sys, urllib.request
context = ssl._create_unverified_context()
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5, context=context).read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.read().decode())
"""


def service(name: str, **spec: object) -> Manifest:
    meta = {"name": name, "namespace": NAMESPACE_NAME}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def web(cluster: Cluster, pods: dict[str, ClientPod]) -> Iterator[Manifest]:
    """A dual-stack service in front of `b`, by named ports."""
    ports = [
        {"name": "tcp", "port": 80, "targetPort": "web"},
        {"name": "udp", "port": 80, "targetPort": "talk", "protocol": "UDP"},
    ]
    made = cluster.create(service("web", selector={"app": "b"}, ports=ports, ipFamilyPolicy="RequireDualStack"))
    yield made
    cluster.delete(Ref.of(made))


@pytest.mark.parametrize("family", [4, 6])
def test_a_service_leads_to_its_pod_from_everywhere(
    web: Manifest, pods: dict[str, ClientPod], family: Literal[4, 6]
) -> None:
    address = web["spec"]["clusterIPs"][0 if family == 4 else 1]
    with pods["b"].serve("tcp", port=8080, family=family) as server:
        for pod in pods.values():
            wait_until(
                f"{address} answers {pod.ref.name}",
                partial(pod.tcp_echo, address, 80, size=1 << 18),
                Deadline.patience(10),
                until=lambda echo: echo.intact,
            )
        # only the pod behind the service is masqueraded, to itself
        own = {a for name in "acd" for a in pods[name].addresses if (":" in a) == (family == 6)}
        wait_until(
            "the server has seen the pods' own addresses",
            lambda: {peer.host for peer in server.peers()},
            Deadline.patience(10),
            until=own.issubset,
        )
    with pods["b"].serve("udp", port=8080, family=family):
        for pod in pods.values():
            assert pod.udp_echo(address, 80, flows=4, sizes=(1, 1200)).ok


def test_what_a_service_does_not_have_is_refused(web: Manifest, cluster: Cluster, pods: dict[str, ClientPod]) -> None:
    address = web["spec"]["clusterIP"]
    assert pods["c"].tcp_connect(address, 81).error == "ECONNREFUSED"
    empty = cluster.create(service("empty", selector={"app": "nobody"}, ports=[{"port": 80}]))
    refused = wait_until(
        "a service without endpoints refuses",
        lambda: pods["a"].tcp_connect(empty["spec"]["clusterIP"], 80, timeout=1),
        Deadline.patience(10),
        until=lambda seen: seen.error == "ECONNREFUSED",
    )
    assert not refused.ok
    cluster.delete(Ref.of(empty))


def test_a_pod_that_is_not_ready_is_no_endpoint(cluster: Cluster) -> None:
    body = client_pod_manifest("unready", NAMESPACE_NAME, client_image(), node="node-1", labels={"app": "unready"})
    body["spec"]["readinessGates"] = [{"conditionType": "example.com/never"}]
    pod = cluster.create(body)
    made = cluster.create(service("unready", clusterIP="None", selector={"app": "unready"}, ports=[{"port": 80}]))
    slice_ref = Ref.of({**service("unready-ipv4"), "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"})
    endpoints = wait_until(
        "the pod is in the EndpointSlice",
        lambda: dig(cluster.find(slice_ref) or {}, "endpoints", default=[]),
        Deadline.patience(30),
        until=bool,
    )
    assert endpoints[0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    cluster.delete(Ref.of(made))
    cluster.delete(Ref.of(pod))


def test_names_of_the_cluster_and_beyond(web: Manifest, cluster: Cluster, pods: dict[str, ClientPod], run: Run) -> None:
    crowd = cluster.create(service("crowd", clusterIP="None", selector={"app": "c"}, ports=[{"port": 80}]))
    dashed = pods["c"].address.replace(".", "-")
    wait_until(
        "the headless service has its pod",
        lambda: run(pods["a"], RESOLVE, "crowd"),
        Deadline.patience(10),
        until=lambda seen: seen["crowd"] == [pods["c"].address],
    )
    names = ("web", "kubernetes.default", "host-c.crowd", f"{dashed}.shop.pod.cluster.local", "example.com", "nobody")
    answers = run(pods["a"], RESOLVE, *names)
    assert answers == {
        "web": sorted(web["spec"]["clusterIPs"]),
        "kubernetes.default": ["10.96.0.1"],
        "host-c.crowd": [pods["c"].address],
        names[3]: [pods["c"].address],
        "example.com": ["2001:db8:113::10", "203.0.113.10"],
        "nobody": "Name or service not known",
    }
    assert run(pods["d"], BY_TCP, "kubernetes.default.svc.cluster.local") == "10.96.0.1"
    cluster.delete(Ref.of(crowd))


def test_pods_reach_the_api_by_its_service(pods: dict[str, ClientPod], run: Run) -> None:
    for pod in pods.values():
        refused = run(pod, GET, "https://kubernetes.default.svc/api/v1/secrets")
        assert (refused["kind"], refused["status"]) == ("Status", "Failure"), "it asks who we are"


def test_the_host_outside_sees_the_node(pods: dict[str, ClientPod], run: Run) -> None:
    assert run(pods["d"], GET, "http://203.0.113.10/")["peer"] == "172.30.0.3"
    assert run(pods["d"], GET, "http://[2001:db8:113::10]/")["peer"] == "fd00:30::3"
    assert pods["c"].udp_echo("203.0.113.10", 7, flows=2, sizes=(1, 1200)).ok
    assert pods["c"].tcp_echo("2001:db8:113::10", 7, size=1 << 18).intact


def test_pods_have_the_mtu_that_was_asked_for(network: Shape, pods: dict[str, ClientPod]) -> None:
    ping = partial(pods["a"].ping, pods["c"].address, dont_fragment=True, count=1)
    fits = network.pod_mtu - 28
    assert ping(size=fits).ok
    assert ping(size=fits + 1).error == "EMSGSIZE"

"""A kubelet's probes, and those that KubeVirt gives a launcher pod."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from conformance.sandbox.client import Object
from conformance.sandbox.kubernetes.podstatus import PodStates
from conformance.sandbox.kubernetes.probes import LIVENESS, READINESS, Probe, ProbeFailed, Target, attempt
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.facts import NEWEST, facts_for
from conformance.sandbox.kubevirt.probes import probe_causes, probes
from conformance.sandbox.kubevirt.ruleview import RuleView
from conformance.sandbox.launcher.container import Container
from conformance.sandbox.network.node import Node

VMI: Object = {"metadata": {"name": "v", "namespace": "ns"}, "spec": {}}


class Here:
    """A node whose network is the test's own."""

    def socket(self, family: int, kind: int) -> socket.socket:
        return socket.socket(family, kind)


def target(container: Object) -> Target:
    return Target(cast(Node, Here()), "127.0.0.1", {"name": "compute", **container}, cast(Container, None))


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_tcp_probe_connects_by_number_and_by_name(port: int) -> None:
    named = target({"ports": [{"name": "ssh", "containerPort": port}]})
    asyncio.run(attempt(named, {"tcpSocket": {"port": port}}, 1))
    asyncio.run(attempt(named, {"tcpSocket": {"port": "ssh"}}, 1))


def test_a_refused_connection_fails_in_the_words_of_go() -> None:
    closed = free_port()
    with pytest.raises(ProbeFailed, match=f"^dial tcp 127.0.0.1:{closed}: connect: connection refused$"):
        asyncio.run(attempt(target({}), {"tcpSocket": {"port": closed}}, 1))


@pytest.mark.parametrize(("status", "fails"), [("204 No Content", False), ("302 Found", False), ("503 Busy", True)])
def test_an_http_probe_judges_by_the_status(status: str, fails: bool) -> None:
    async def body() -> list[str]:
        asked = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readline()).decode().strip())
            writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        spec = {"httpGet": {"port": server.sockets[0].getsockname()[1], "path": "healthz"}}
        async with server:
            if fails:
                with pytest.raises(ProbeFailed, match="HTTP probe failed with statuscode: 503"):
                    await attempt(target({}), spec, 2)
            else:
                await attempt(target({}), spec, 2)
        return asked

    assert asyncio.run(body()) == ["GET /healthz HTTP/1.1"]


def test_readiness_follows_the_thresholds_and_every_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter([False, True, True, False, False, True])
    told: list[str] = []
    verdicts: list[bool] = []

    async def pretend(_target: Target, _spec: Object, _seconds: float) -> None:
        outcome = next(outcomes, None)
        if outcome is None:
            raise asyncio.CancelledError
        if not outcome:
            raise ProbeFailed("no")

    async def verdict(holds: bool) -> None:
        verdicts.append(holds)

    async def report(message: str) -> None:
        told.append(message)

    monkeypatch.setattr("conformance.sandbox.kubernetes.probes.attempt", pretend)
    spec = {"tcpSocket": {"port": 1}, "periodSeconds": 0.001, "successThreshold": 2, "failureThreshold": 2}
    probe = Probe(READINESS, target({READINESS: spec}), verdict, report)
    assert not probe.holds
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(probe.run())
    assert verdicts == [True, False]
    assert told == ["Readiness probe failed: no"] * 3
    assert Probe(LIVENESS, target({LIVENESS: spec}), verdict, report).holds


def test_a_container_is_ready_only_when_its_probe_says_so() -> None:
    pod: Object = {"spec": {"containers": [{"name": "compute", "image": "x:1"}, {"name": "other", "image": "y:1"}]}}
    states = PodStates.of(pod)
    for state in states.main.values():
        state.run()
    states.main["compute"].probed = False
    pod["status"] = states.as_status(pod, "10.0.0.1")
    ready = conditions.find(pod, "ContainersReady")
    assert ready is not None
    assert (ready["status"], ready["message"]) == ("False", "containers with unready status: [compute]")
    assert [c["ready"] for c in pod["status"]["containerStatuses"]] == [False, True]
    assert conditions.is_started(pod)
    states.main["other"].probed = False
    pod["status"] = states.as_status(pod, "10.0.0.1")
    assert not conditions.is_started(pod)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            {"tcpSocket": {"port": 22}},
            {"tcpSocket": {"port": 22}, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 1},
        ),
        (
            {"guestAgentPing": {}, "timeoutSeconds": 4, "initialDelaySeconds": 5},
            {
                "exec": {
                    "command": ["virt-probe", "--domainName", "ns_v", "--timeoutSeconds", "4", "--guestAgentPing"]
                },
                "initialDelaySeconds": 15,
                "timeoutSeconds": 5,
            },
        ),
        (
            {"exec": {"command": ["cat", "/ok"]}},
            {
                "exec": {
                    "command": [
                        *("virt-probe", "--domainName", "ns_v", "--timeoutSeconds", "1"),
                        *("--command", "cat", "--", "/ok"),
                    ]
                },
                "timeoutSeconds": 2,
            },
        ),
    ],
)
def test_kubevirt_starts_the_probes_later_and_asks_the_guest_agent_by_a_program(given: Any, wanted: Any) -> None:
    found = probes({**VMI, "spec": {"readinessProbe": given}})["readinessProbe"]
    assert "guestAgentPing" not in found
    assert {name: found[name] for name in wanted} == wanted
    assert (found["successThreshold"], found["failureThreshold"]) == (1, 3)


@pytest.mark.parametrize(
    ("network", "probe", "messages"),
    [
        ("pod", {"tcpSocket": {"port": 22}}, []),
        ("pod", {"tcpSocket": {}, "exec": {}}, ["spec.readinessProbe must have exactly one probe type set"]),
        (
            "pod",
            {},
            [
                "either spec.readinessProbe.tcpSocket, spec.readinessProbe.exec or spec.readinessProbe.httpGet must be "
                "set if a spec.readinessProbe is specified"
            ],
        ),
        (
            "multus",
            {"tcpSocket": {"port": 22}},
            ["spec.readinessProbe.tcpSocket is only allowed if the Pod Network is attached"],
        ),
        ("multus", {"exec": {"command": ["true"]}}, []),
    ],
)
def test_admission_refuses_a_probe_that_cannot_be(network: str, probe: Object, messages: list[str]) -> None:
    body = {"networks": [{"name": "default", network: {}}], "readinessProbe": probe}
    view = RuleView(body, "spec", ClusterConfig({}, facts_for(NEWEST)))
    assert [cause.message for cause in probe_causes(view)] == messages

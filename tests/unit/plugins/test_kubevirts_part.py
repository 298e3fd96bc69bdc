"""The checks that judge KubeVirt's own part, which no binding can make fail, fail where KubeVirt does it wrong."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from conformance.guest.image import DEFAULT
from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError, BoundExceeded, from_status
from conformance.kube.manifest import Manifest
from conformance.kube.networks import NETWORKS
from conformance.kube.timeouts import Timeouts
from conformance.kube.vmi import InterfaceStatus, NicSpec
from conformance.model import NadReference
from conformance.plugin.run import Run
from conformance.site.site import Site
from fixtures.clients import ClientPods
from fixtures.machines import Machine, Start
from fixtures.reach import Resolver
from fixtures.secondary import SECONDARY, Companion, hashed_interface
from suites.connectivity import test_by_name
from suites.hotplug import test_absent
from suites.observability import test_pod_interface
from suites.pod import test_binding_network, test_network_order
from suites.security import test_unprivileged

TEXT = 'interface\'s state "absent" is supported only for bridge binding'


def status(name: str, pod_interface: str) -> InterfaceStatus:
    return InterfaceStatus.of({"name": name, "podInterfaceName": pod_interface})


class Machines:
    """A machine whose status says what the test wants."""

    def __init__(self, pod_interface: str, network: str) -> None:
        self.entry = status("default", pod_interface)
        self.nic_spec = NicSpec(network=network)

    def view(self) -> SimpleNamespace:
        return SimpleNamespace(interface=lambda _name: self.entry)


@pytest.mark.parametrize(
    ("pod_interface", "network", "right"),
    [
        ("eth0", "", True),
        ("net1", "", False),
        (hashed_interface("default"), "ns/nad", True),
        ("eth0", "ns/nad", False),
        ("", "", False),
    ],
)
def test_pod_interface_names(pod_interface: str, network: str, right: bool) -> None:
    machine = cast(Machine, Machines(pod_interface, network))
    if right:
        test_pod_interface.test_status_names_the_pod_interface(machine)
    else:
        with pytest.raises(AssertionError, match="podInterfaceName"):
            test_pod_interface.test_status_names_the_pod_interface(machine)


@pytest.mark.parametrize(("pod_interface", "right"), [(hashed_interface(SECONDARY), True), ("net1", False)])
def test_secondary_pod_interface_names(pod_interface: str, right: bool) -> None:
    companion = cast(Companion, SimpleNamespace(secondary=lambda: status(SECONDARY, pod_interface)))
    if right:
        test_pod_interface.test_status_names_the_secondary_pod_interface(companion)
    else:
        with pytest.raises(AssertionError, match="podInterfaceName"):
            test_pod_interface.test_status_names_the_secondary_pod_interface(companion)


class Admission:
    """An API server that answers a creation as the test wants: with an error, or by taking it."""

    def __init__(self, answer: ApiError | None) -> None:
        self.answer = answer

    def create(self, manifest: Manifest, *, dry_run: bool) -> Manifest:
        assert dry_run
        assert manifest["spec"]["domain"]["devices"]["interfaces"][0]["state"] == "absent"
        if self.answer is not None:
            raise self.answer
        return manifest


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (from_status("create", 422, "Invalid", TEXT), True),
        (from_status("create", 422, "Invalid", "something else"), False),
        (from_status("create", 400, "BadRequest", TEXT), False),
        (None, False),
    ],
)
def test_absent_interfaces(answer: ApiError | None, right: bool) -> None:
    run = SimpleNamespace(
        cluster=cast(Cluster, Admission(answer)),
        binding=SimpleNamespace(core=None, name="b"),
        keys=SimpleNamespace(user_data=lambda: ""),
        labels={},
        site=Site(),
        handoff=SimpleNamespace(guest=DEFAULT),
    )
    if right:
        test_absent.test_state_absent_is_refused(cast(Run, run), "ns")
    else:
        with pytest.raises(AssertionError):
            test_absent.test_state_absent_is_refused(cast(Run, run), "ns")


def launcher(**compute: object) -> Manifest:
    """A launcher pod as KubeVirt makes it, its compute container changed."""
    context = {"runAsUser": 107, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    first = {**context, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, **compute}
    containers = [
        {"name": "compute", "securityContext": first},
        {"name": "hook-sidecar-0", "securityContext": context},
        {"name": "volumecontainerdisk"},
    ]
    return {"spec": {"containers": containers, "volumes": [{"name": "private", "emptyDir": {}}]}}


def with_sidecar_capability() -> Manifest:
    pod = launcher()
    pod["spec"]["containers"][1]["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]
    return pod


def with_host_path() -> Manifest:
    pod = launcher()
    pod["spec"]["volumes"].append({"name": "dev", "hostPath": {"path": "/dev"}})
    return pod


@pytest.mark.parametrize(
    ("pod", "excess"),
    [
        (launcher(), ""),
        (launcher(privileged=True), "compute is privileged"),
        (launcher(runAsUser=0), "compute runs as user 0"),
        (launcher(allowPrivilegeEscalation=True), "compute may escalate"),
        (launcher(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}), "compute adds NET_ADMIN"),
        (launcher(capabilities={}), "compute does not drop"),
        ({"spec": {**launcher()["spec"], "hostNetwork": True}}, "hostNetwork"),
        (with_sidecar_capability(), "hook-sidecar-0 adds NET_ADMIN"),
        (with_host_path(), "the host's /dev"),
    ],
)
def test_rights_of_the_launcher_pod(pod: Manifest, excess: str) -> None:
    machine = cast(Machine, SimpleNamespace(pod=lambda: pod))
    if not excess:
        test_unprivileged.test_launcher_pod_has_no_more_rights_than_kubevirt_gives(machine)
    else:
        with pytest.raises(AssertionError, match=excess):
            test_unprivileged.test_launcher_pod_has_no_more_rights_than_kubevirt_gives(machine)


NETWORK = {"name": "net", "namespace": "ns", "interface": hashed_interface(SECONDARY)}


def binding(network: str) -> Manifest:
    """The element of the binding's own network for one interface."""
    return {"name": "bind", "namespace": "default", "cni-args": {"logicNetworkName": network}}


def asking(*elements: Manifest) -> Manifest:
    return {"metadata": {"annotations": {NETWORKS: json.dumps(elements)}}}


@pytest.mark.parametrize(
    ("elements", "right"),
    [
        ((binding("default"),), True),
        ((), False),
        ((binding("other"),), False),
        ((binding("default"), binding("default")), False),
    ],
)
def test_networks_of_the_binding(elements: tuple[Manifest, ...], right: bool) -> None:
    run = SimpleNamespace(binding=SimpleNamespace(nad=NadReference("default", "bind")))
    spec = SimpleNamespace(nics=(NicSpec(),))
    machine = cast(Machine, SimpleNamespace(run=run, spec=spec, pod=lambda: asking(*elements)))
    if right:
        test_binding_network.test_pod_asks_for_the_bindings_network(machine)
    else:
        with pytest.raises(AssertionError):
            test_binding_network.test_pod_asks_for_the_bindings_network(machine)


@pytest.mark.parametrize(
    ("elements", "right"),
    [
        ((binding("default"), NETWORK, binding(SECONDARY)), True),
        ((binding("default"), binding(SECONDARY), NETWORK), False),
        ((NETWORK, binding("default"), binding(SECONDARY)), False),
        ((binding("default"), {**NETWORK, "interface": "net1"}, binding(SECONDARY)), False),
    ],
)
def test_order_of_the_networks(elements: tuple[Manifest, ...], right: bool) -> None:
    machine = SimpleNamespace(pod=lambda: asking(*elements))
    start = cast(Start, SimpleNamespace(started=lambda: machine))
    if right:
        test_network_order.test_bindings_network_follows_the_interfaces_own(start)
    else:
        with pytest.raises(AssertionError):
            test_network_order.test_bindings_network_follows_the_interfaces_own(start)


@pytest.mark.parametrize(("found", "right"), [(("10.0.0.5", "fd00::5"), True), (("10.0.0.6",), False), ((), False)])
def test_full_names(monkeypatch: pytest.MonkeyPatch, found: tuple[str, ...], right: bool) -> None:
    asked: list[str] = []

    def resolved(_cluster: object, _pod: object, name: str) -> tuple[str, ...]:
        asked.append(name)
        return found

    search = ("ns.svc.cluster.local", "svc.cluster.local", "cluster.local")
    monkeypatch.setattr(test_by_name, "resolved", resolved)
    monkeypatch.setattr(test_by_name, "resolver_of", lambda *_: Resolver(("10.96.0.10",), search))
    monkeypatch.setattr(test_by_name, "service", lambda *_, **__: nullcontext())
    run = SimpleNamespace(cluster=None, timeouts=Timeouts().scaled(0.001))
    view = SimpleNamespace(node="one", address=lambda _network: "10.0.0.5")
    spec = SimpleNamespace(name="vm", namespace="ns")
    machine = cast(Machine, SimpleNamespace(run=run, spec=spec, ref="vm", view=lambda: view))
    with nullcontext() if right else pytest.raises(BoundExceeded, match=r"resolves to 10\.0\.0\.5"):
        test_by_name.test_full_name_leads_to_the_vm(machine, cast(ClientPods, {"two": SimpleNamespace()}))
    assert asked[0] == "vm.machines.ns.svc.cluster.local"

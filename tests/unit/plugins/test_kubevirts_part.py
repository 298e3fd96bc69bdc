"""The checks that judge KubeVirt's own part, which no binding can make fail, fail where KubeVirt does it wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError
from conformance.kube.manifest import Manifest
from conformance.kube.vmi import InterfaceStatus, NicSpec
from conformance.plugin.run import Run
from fixtures.machines import Machine
from fixtures.secondary import SECONDARY, Companion, hashed_interface
from suites.hotplug import test_absent
from suites.observability import test_pod_interface

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
        (ApiError("create", 422, "Invalid", TEXT), True),
        (ApiError("create", 422, "Invalid", "something else"), False),
        (ApiError("create", 500, "InternalError", TEXT), False),
        (None, False),
    ],
)
def test_absent_interfaces(answer: ApiError | None, right: bool) -> None:
    run = SimpleNamespace(
        cluster=cast(Cluster, Admission(answer)),
        binding=SimpleNamespace(core=None, name="b"),
        keys=SimpleNamespace(user_data=lambda: ""),
        labels={},
    )
    if right:
        test_absent.test_state_absent_is_refused(cast(Run, run), "ns")
    else:
        with pytest.raises(AssertionError):
            test_absent.test_state_absent_is_refused(cast(Run, run), "ns")

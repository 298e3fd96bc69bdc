"""The checks of VMIs that wait for a registration or a network, on an API server with the sandbox's controllers: they
pass, and fail where a controller, or what stands for kubelet and Multus, does otherwise.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from conformance.evidence.recorder import Evidence
from conformance.kube.cluster import Cluster
from conformance.kube.errors import BoundExceeded, Stopped
from conformance.kube.manifest import Ref
from conformance.kube.timeouts import Timeouts
from conformance.kube.vmi import NicSpec
from conformance.model import load_binding
from conformance.plugin.run import Run
from conformance.sandbox.kubevirt.definitions import write_definitions
from conformance.sandbox.kubevirt.facts import NEWEST, facts_for
from fixtures import latecomers, presence
from fixtures.images import LOCK
from fixtures.latecomers import story
from fixtures.machines import NETWORK
from fixtures.mute import MuteVmi
from fixtures.strangers import absent_network, bare_vmi, unregistered_name
from suites.cni import test_installed_later
from suites.hooks import test_no_socket
from suites.registration import (
    test_binding_nad_missing,
    test_nad_namespace,
    test_network_nad_missing,
    test_registered_later,
    test_unregistered_name,
)
from tests.contract import altered_controllers as altered
from tests.contract.harness import Sandbox, sandbox_server
from tests.contract.suiterun import SPACE, cluster_of, run_on

pytestmark = pytest.mark.since(kubevirt="1.1")

PASST: Final = LOCK.parent / "bindings" / "passt.yaml"
PATIENT, HASTY = Timeouts().scaled(0.15), Timeouts().scaled(0.02)
_runs = count(1)
# Whether the pod is seen first or what its readiness makes of the VMI.
POD_OR_PHASE: Final = r"virt-launcher-vmi-|'Scheduling' == 'Pending'"
Check = Callable[[Run], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """An API server with KubeVirt's and Multus' kinds, two namespaces, and passt registered."""
    with tempfile.TemporaryDirectory(prefix="kbc-waiting-") as name:
        directory = Path(name)
        write_definitions(facts_for(NEWEST), directory / "definitions.yaml")
        hook = ("--admission", "conformance.sandbox.kubevirt.admission:admit")
        with sandbox_server(
            directory, directory / "none.sock", *hook, "--crds", str(directory / "definitions.yaml")
        ) as server:
            binding = load_binding(PASST)
            assert binding.registration is not None
            registered = {binding.name: binding.registration.to_dict()}
            cluster_of(server, {"network": {"binding": registered}}).close()
            yield server


def passt_run(server: Sandbox, timeouts: Timeouts) -> Run:
    """A run of passt with names of its own."""
    cluster = Cluster.connect(server.kubeconfig, cache_file=server.directory / "discovery")
    own = {"binding": load_binding(PASST), "id": f"{next(_runs):08x}", "timeouts": timeouts}
    return run_on(cluster, facts_for(NEWEST).version, **own)


def with_vmi(check: Callable[[Run, Ref], None], nic: Callable[[Run], NicSpec]) -> Check:
    """A check of a VMI that was just created."""

    def ask(run: Run) -> None:
        with bare_vmi(run, SPACE, f"vmi-{run.id}", nic(run)) as ref:
            check(run, ref)

    return ask


def measure(_: object) -> None:
    """Nobody reads the measurement."""


def strange(run: Run) -> NicSpec:
    return NicSpec(NETWORK, unregistered_name(run))


def unconnected(run: Run) -> NicSpec:
    return NicSpec(NETWORK, run.binding.name, network=absent_network(run))


def unregistered_check(run: Run, ref: Ref) -> None:
    test_unregistered_name.test_vmi_with_an_unregistered_binding_gets_no_pod(run, ref)


def later_check(run: Run, ref: Ref) -> None:
    test_registered_later.test_registering_unblocks_a_vmi_that_waits(run, ref, measure)


def late_definition(run: Run) -> None:
    test_binding_nad_missing.test_missing_definition_is_named_and_its_creation_helps(
        story(run, SPACE), Evidence(), measure
    )


def definition_by_name(run: Run) -> None:
    test_nad_namespace.test_definition_by_name_alone_is_the_one_of_the_vmis_namespace(story(run, SPACE))


def late_plugin(run: Run) -> None:
    test_installed_later.test_missing_plugin_is_named_and_its_installation_helps(
        presence.story(run, SPACE), Evidence(), measure
    )


UNREGISTERED = with_vmi(unregistered_check, strange)
LATER = with_vmi(later_check, strange)
NO_NETWORK = with_vmi(test_network_nad_missing.test_vmi_on_a_missing_network_gets_no_pod, unconnected)


@pytest.fixture(autouse=True)
def no_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing boots here, so nobody waits for it to."""
    monkeypatch.setattr(latecomers, "_SETTLE_SECONDS", 0.0)


@pytest.mark.parametrize("check", [UNREGISTERED, LATER, NO_NETWORK, late_definition, definition_by_name, late_plugin])
def test_controllers_as_they_are_pass(server: Sandbox, check: Check) -> None:
    with altered.controllers(server.kubeconfig):
        check(passt_run(server, PATIENT))


@pytest.mark.parametrize(
    ("check", "part", "player", "said"),
    [
        (UNREGISTERED, "template", altered.GuessesBindings, "ends the wait"),
        (UNREGISTERED, "template", altered.Mumbles, "something is missing"),
        (UNREGISTERED, "controller", altered.Silent, "a refusal"),
        (UNREGISTERED, "controller", altered.MakesAPodAllTheSame, POD_OR_PHASE),
        (LATER, "controller", altered.Deaf, "leaves Pending"),
        (LATER, "controller", altered.Resentful, "leaves Pending"),
        (NO_NETWORK, "template", altered.GuessesNetworks, "ends the wait"),
        (NO_NETWORK, "template", altered.Mumbles, "something is missing"),
        (NO_NETWORK, "controller", altered.MakesAPodAllTheSame, POD_OR_PHASE),
        (late_definition, "pods", altered.QuietPods, "no FailedCreatePodSandBox names"),
        (late_definition, "pods", altered.VaguePods, "no FailedCreatePodSandBox names"),
        (late_definition, "pods", altered.CarelessPods, "does not exist"),
        (late_definition, "pods", altered.OncePods, "has its networks"),
        (late_plugin, "pods", altered.QuietPods, "no FailedCreatePodSandBox names"),
        (late_plugin, "pods", altered.VaguePods, "no FailedCreatePodSandBox names"),
        (late_plugin, "pods", altered.CarelessPods, "though no node has"),
        (late_plugin, "pods", altered.OncePods, "has its networks"),
        (definition_by_name, "template", altered.LooksInDefault, r"in namespaces \['default'\]"),
        (definition_by_name, "pods", altered.OncePods, "has its networks"),
    ],
)
def test_one_that_does_otherwise_is_caught(server: Sandbox, check: Check, part: str, player: type, said: str) -> None:
    failure = pytest.raises((AssertionError, BoundExceeded, Stopped), match=said)
    with altered.controllers(server.kubeconfig, **{part: player}), failure:
        check(passt_run(server, HASTY))


@contextmanager
def mute_vmi(run: Run, phase: str) -> Iterator[MuteVmi]:
    """The VMI of HOOK-008, of which KubeVirt says after a while that it has this phase."""
    with ExitStack() as stack:
        vmi = MuteVmi(run, SPACE, stack)
        ref, _ = vmi.begin()
        told = threading.Timer(0.3, run.cluster.patch, (ref, {"status": {"phase": phase}}))
        told.start()
        yield vmi
        told.join()


def test_a_vmi_without_a_socket_that_is_given_up_passes(server: Sandbox) -> None:
    run = passt_run(server, HASTY)
    with altered.controllers(server.kubeconfig), mute_vmi(run, "Failed") as vmi:
        test_no_socket.test_vmi_without_a_socket_is_given_up(vmi, measure)
    assert vmi.ref is not None
    assert run.cluster.find(vmi.ref) is None, "the VMI is removed when it has been judged"


@pytest.mark.parametrize(("phase", "said"), [("Scheduled", "is given up"), ("Running", "ends the wait")])
def test_one_that_waits_for_ever_or_runs_is_caught(server: Sandbox, phase: str, said: str) -> None:
    failure = pytest.raises((BoundExceeded, Stopped), match=said)
    run = passt_run(server, HASTY)
    with altered.controllers(server.kubeconfig), mute_vmi(run, phase) as vmi, failure:
        test_no_socket.test_vmi_without_a_socket_is_given_up(vmi, measure)

"""Where each fault of a binding shows, with real plugins and sidecars that have it: on the VMI, on the pod, or nowhere.

Source: the contract's failure surfaces; phases and texts as recorded on a real v1.9.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import OverQuota
from conformance.kube.events import events_about
from conformance.kube.lifecycle import delete_vmi, launcher_pods, wait_running
from conformance.kube.manifest import NAD, VMI, Kind, Manifest, Ref, condition, dig
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView, migration_manifest
from conformance.kube.wait import wait_for, wait_gone, wait_until
from conformance.model import CoreBinding
from conformance.sandbox import daemon
from conformance.sandbox.images import Image
from fixtures.secondary import hashed_interface
from tests.fidelity.scenarios import CNI_PLUGINS, SIDECARS, Sidecar
from tests.sandbox.kubevirt.conftest import DISK, SECONDS

GIVEN_UP_SECONDS = 260.0
"""virt-handler gives a launcher up that does not answer for 180 s."""


@pytest.fixture(scope="module", autouse=True)
def artifacts(sandbox: daemon.RunningSandbox) -> None:
    """The faulty sidecars, and CNI plugins: one that refuses, one that does not."""
    more = [Sidecar(f"registry.local/h6/sc-{mode}:1", (mode,)) for mode in ("slowinfo", "future")]
    for each in (*SIDECARS, *more):
        sandbox.load_image(Image(each.image, tuple(each.layers), tuple(each.command)))
    for name, path in CNI_PLUGINS:
        sandbox.install_cni_plugin(name, path)


@contextmanager
def vmi_with(cluster: Cluster, name: str, *nics: NicSpec) -> Iterator[Ref]:
    """A VMI just created; deleted at the end."""
    spec = VmiSpec(name, "default", nics, DISK, "#cloud-config\n", grace_seconds=0)
    cluster.create(spec.vmi())
    ref = VMI.ref(name, "default")
    try:
        yield ref
    finally:
        delete_vmi(cluster, ref, Deadline.patience(SECONDS))


@contextmanager
def registered(cluster: Cluster, name: str, value: Manifest) -> Iterator[str]:
    """A registration for as long as the block lasts."""
    registration = Registration(cluster, name)
    registration.apply(value)
    try:
        yield name
    finally:
        registration.remove()


@contextmanager
def network(cluster: Cluster, name: str, plugin: Manifest) -> Iterator[str]:
    """A NetworkAttachmentDefinition in namespace default."""
    config = json.dumps({"cniVersion": "1.0.0", "name": name, **plugin})
    made = Ref.of(
        cluster.create(
            {
                "apiVersion": NAD.api_version,
                "kind": NAD.kind,
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"config": config},
            }
        )
    )
    try:
        yield name
    finally:
        cluster.delete(made)


def sidecar(mode: str) -> Manifest:
    """The registration of one of the faulty sidecars."""
    return {"sidecarImage": f"registry.local/h6/sc-{mode}:1"}


def phase(cluster: Cluster, vmi: Ref) -> str:
    return VmiView.of(cluster.get(vmi)).phase


def unsynchronized(cluster: Cluster, vmi: Ref, words: str) -> Mapping[str, Any]:
    """The condition Synchronized=False, once its message has these words."""

    def says(seen: Manifest | None) -> bool:
        found = condition(seen or {}, "Synchronized") or {}
        return found.get("status") == "False" and words in found.get("message", "")

    seen = wait_for(cluster, vmi, f"Synchronized of {vmi} is False for {words!r}", says, Deadline.patience(SECONDS))
    return condition(seen or {}, "Synchronized") or {}


def pod_event(cluster: Cluster, vmi: Ref, words: str) -> None:
    """Wait for the launcher pod's event FailedCreatePodSandBox with these words."""

    def messages() -> list[str]:
        return [event.message for event in events_about(cluster, vmi) if event.reason == "FailedCreatePodSandBox"]

    wait_until(
        f"the pod of {vmi} says {words!r}",
        messages,
        Deadline.patience(SECONDS),
        until=lambda seen: any(words in message for message in seen),
    )


def left_pending(seen: Manifest | None) -> bool:
    return dig(seen or {}, "status", "phase") not in (None, "", "Pending")


def has_failed(seen: Manifest | None) -> bool:
    return bool(dig(seen or {}, "status", "phase") == "Failed")


def test_an_unregistered_binding_keeps_the_vmi_pending_until_it_is_registered(cluster: Cluster) -> None:
    with vmi_with(cluster, "unregistered", NicSpec("default", "nobody")) as vmi:
        said = unsynchronized(cluster, vmi, "couldn't find configuration for network binding: nobody")
        assert said["reason"] == "FailedCreate"
        assert said["message"].startswith("failed to render launch manifest: ")
        assert phase(cluster, vmi) == "Pending"
        assert launcher_pods(cluster, VmiView.of(cluster.get(vmi))) == ()
        assert events_about(cluster, vmi) == ()
        with registered(cluster, "nobody", {"domainAttachmentType": "managedTap"}):
            wait_running(cluster, vmi, Deadline.patience(SECONDS))


def test_a_quota_without_room_keeps_the_vmi_pending_until_there_is_some(cluster: Cluster) -> None:
    quota = Kind("v1", "ResourceQuota").ref("full", "default")
    head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": quota.name, "namespace": "default"}}
    cluster.create({**head, "spec": {"hard": {"pods": "0"}}})
    words = "exceeded quota: full, requested: pods=1, used: pods=0, limited: pods=0"
    try:
        with vmi_with(cluster, "refused", NicSpec("default", core=CoreBinding.MASQUERADE)) as vmi:
            said = unsynchronized(cluster, vmi, words)
            assert said["reason"] == "FailedCreate"
            assert said["message"].startswith('failed to create virtual machine pod: pods "virt-launcher-refused-')
            assert phase(cluster, vmi) == "Pending"
            event = events_about(cluster, vmi)[0]
            assert (event.type, event.reason) == ("Warning", "FailedCreate")
            assert event.message.startswith('Error creating pod: pods "virt-launcher-refused-')
            assert event.message.endswith(words)
            with pytest.raises(OverQuota, match=words):
                wait_running(cluster, vmi, Deadline.bound(SECONDS))
            cluster.delete(quota)
            gone = Deadline.patience(SECONDS)
            wait_for(cluster, vmi, f"{vmi} has a pod", left_pending, gone, needs_pod=False)
    finally:
        if cluster.find(quota):
            cluster.delete(quota)


def test_a_missing_network_keeps_the_vmi_pending_until_it_is_there(cluster: Cluster) -> None:
    nics = (NicSpec("default", "tapped"), NicSpec("second", "tapped", network="default/later"))
    with vmi_with(cluster, "no-network", *nics) as vmi:
        unsynchronized(cluster, vmi, "failed to locate network attachment definition default/later")
        assert phase(cluster, vmi) == "Pending"
        with network(cluster, "later", {"type": "bridge", "bridge": "later"}):
            wait_for(cluster, vmi, f"{vmi} is past Pending", left_pending, Deadline.patience(SECONDS))


def test_a_missing_network_of_the_binding_shows_on_the_pod_alone(cluster: Cluster) -> None:
    value = {"domainAttachmentType": "managedTap", "networkAttachmentDefinition": "default/of-the-binding"}
    with (
        registered(cluster, "without-nad", value),
        vmi_with(cluster, "no-nad", NicSpec("default", "without-nad")) as vmi,
    ):
        pod_event(cluster, vmi, "cannot find a network-attachment-definition (of-the-binding) in namespace (default)")
        assert phase(cluster, vmi) == "Scheduling"
        assert condition(cluster.get(vmi), "Synchronized") is None
        with network(cluster, "of-the-binding", {"type": "cni-passt-binding-plugin"}):
            wait_running(cluster, vmi, Deadline.patience(SECONDS))


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        ("no-such-cni", 'failed to find plugin "no-such-cni" in path'),
        ("h6-fail", "h6-fail: the vendor fabric refused the port; quota exceeded on switch tor-1"),
    ],
)
def test_a_cni_plugin_that_is_absent_or_fails_shows_on_the_pod(cluster: Cluster, plugin: str, words: str) -> None:
    value = {"domainAttachmentType": "managedTap", "networkAttachmentDefinition": f"default/{plugin}"}
    with (
        network(cluster, plugin, {"type": plugin}),
        registered(cluster, plugin, value),
        vmi_with(cluster, f"with-{plugin}", NicSpec("default", plugin)) as vmi,
    ):
        pod_event(cluster, vmi, words)
        assert phase(cluster, vmi) == "Scheduling"


def test_a_sidecar_image_that_cannot_be_pulled_shows_on_the_vmi(cluster: Cluster) -> None:
    value: Manifest = {"sidecarImage": "registry.local/none:1"}
    with registered(cluster, "no-image", value), vmi_with(cluster, "no-image", NicSpec("default", "no-image")) as vmi:
        said = unsynchronized(cluster, vmi, "registry.local/none:1")
        assert said["reason"] in ("ErrImagePull", "ImagePullBackOff")
        assert phase(cluster, vmi) == "Scheduling"


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("err", 'command SyncVMI failed: "rpc error: code = Unknown desc = exit status 1"'),
        ("badxml", 'command SyncVMI failed: "XML syntax error'),
    ],
)
def test_a_hook_that_fails_shows_on_the_vmi_and_is_tried_again(cluster: Cluster, mode: str, words: str) -> None:
    with registered(cluster, mode, sidecar(mode)), vmi_with(cluster, f"hook-{mode}", NicSpec("default", mode)) as vmi:
        said = unsynchronized(cluster, vmi, words)
        assert said["reason"] == "Synchronizing with the Domain failed."
        wait_until(
            f"the hook of {vmi} is called again",
            lambda: [event.count for event in events_about(cluster, vmi) if event.reason == "SyncFailed"],
            Deadline.patience(SECONDS),
            until=lambda counts: sum(counts) >= 2,
        )
        assert phase(cluster, vmi) == "Scheduled"
    assert "Signaled Deletion" in [event.message for event in events_about(cluster, vmi)]


def test_an_interface_without_its_alias_shows_when_the_vmi_ends(cluster: Cluster) -> None:
    """virt-handler falls over it and says no more: what is left comes from virt-controller, once the pod has gone."""
    value = sidecar("noalias")
    with registered(cluster, "noalias", value), vmi_with(cluster, "nameless", NicSpec("default", "noalias")) as vmi:
        running = wait_running(cluster, vmi, Deadline.patience(SECONDS))
        assert [status.name for status in running.interfaces] == ["default", "net0"]
    said = [event.message for event in events_about(cluster, vmi)]
    assert "Signaled Deletion" in said
    assert "The VirtualMachineInstance crashed." not in said


@pytest.mark.parametrize("value", [{"domainAttachmentType": "frob"}, {}], ids=["frob", "empty"])
def test_a_registration_without_effect_gives_a_running_vm_without_a_nic(cluster: Cluster, value: Manifest) -> None:
    with registered(cluster, "idle", value), vmi_with(cluster, "idle", NicSpec("default", "idle")) as vmi:
        wait_running(cluster, vmi, Deadline.patience(SECONDS))
        seen = cluster.get(vmi)
        assert (condition(seen, "LiveMigratable") or {})["status"] == "False"
        assert all("domain" not in entry.get("infoSource", "") for entry in dig(seen, "status", "interfaces"))


@pytest.mark.parametrize("mode", ["slowinfo", "future"])
def test_a_sidecar_that_does_not_introduce_itself_ends_the_vmi_at_once(cluster: Cluster, mode: str) -> None:
    with registered(cluster, mode, sidecar(mode)), vmi_with(cluster, f"info-{mode}", NicSpec("default", mode)) as vmi:
        wait_for(cluster, vmi, f"{vmi} has Failed", has_failed, Deadline.patience(SECONDS))


def test_a_network_that_makes_no_link_ends_the_vmi(cluster: Cluster) -> None:
    with (
        network(cluster, "linkless", {"type": "cni-passt-binding-plugin"}),
        vmi_with(
            cluster, "no-link", NicSpec("default", "tapped"), NicSpec("second", "tapped", network="default/linkless")
        ) as vmi,
    ):
        wait_for(cluster, vmi, f"{vmi} has Failed", has_failed, Deadline.patience(SECONDS))
        said = [event.message for event in events_about(cluster, vmi) if event.reason == "SyncFailed"]
        link = hashed_interface("second")
        assert any(
            message.startswith("failed to configure vmi network: setup failed, err: ")
            and message.endswith(f"pod link ({link}) is missing")
            for message in said
        ), said


def test_a_network_that_makes_no_link_on_the_target_shows_on_the_vm_which_stays(cluster: Cluster) -> None:
    nics = (NicSpec("default", core=CoreBinding.MASQUERADE), NicSpec("second", "tapped", network="default/moved"))
    with (
        network(cluster, "moved", {"type": "bridge", "bridge": "moved"}),
        vmi_with(cluster, "stays", *nics) as vmi,
    ):
        home = wait_running(cluster, vmi, Deadline.patience(SECONDS)).node
        config = json.dumps({"cniVersion": "1.0.0", "name": "moved", "type": "cni-passt-binding-plugin"})
        cluster.patch(NAD.ref("moved", "default"), {"spec": {"config": config}})
        vmim = Ref.of(cluster.create(migration_manifest(vmi.name, "default", "to-nowhere")))
        words = "failed to configure vmi network for migration target: "
        wait_until(
            f"{vmi} says {words!r}",
            lambda: [event.message for event in events_about(cluster, vmi) if event.reason == "SyncFailed"],
            Deadline.patience(SECONDS),
            until=lambda said: any(
                message.startswith(words) and message.endswith(f"pod link ({hashed_interface('second')}) is missing")
                for message in said
            ),
        )
        cluster.delete(vmim)
        wait_gone(cluster, vmim, Deadline.patience(SECONDS))
        now = VmiView.of(cluster.get(vmi))
        assert (now.phase, now.node) == ("Running", home)


@pytest.mark.slow
def test_a_sidecar_without_a_socket_of_its_own_ends_the_vmi_after_three_minutes(cluster: Cluster) -> None:
    """It exits, it never serves, or another one has its socket's name: nothing says which."""
    same = {"sidecarImage": "registry.local/kubevirt/network-passt-binding:v1.9.0"}
    with (
        network(cluster, "plain", {"type": "bridge", "bridge": "plain"}),
        registered(cluster, "exit", sidecar("exit")),
        registered(cluster, "nosock", sidecar("nosock")),
        registered(cluster, "same", same),
        registered(cluster, "same-again", same),
        vmi_with(cluster, "exits", NicSpec("default", "exit")) as exits,
        vmi_with(cluster, "silent", NicSpec("default", "nosock")) as silent,
        vmi_with(
            cluster, "collides", NicSpec("default", "same"), NicSpec("second", "same-again", network="default/plain")
        ) as collides,
    ):
        deadline = Deadline.patience(GIVEN_UP_SECONDS)
        for vmi in (exits, silent, collides):
            wait_for(cluster, vmi, f"{vmi} has Failed", has_failed, deadline)
            said = [event.message for event in events_about(cluster, vmi) if event.reason == "Stopped"]
            assert said == ["The VirtualMachineInstance crashed."]

"""Manifests as KubeVirt wants them, accepted by an API server with its schema, and statuses read back."""

from __future__ import annotations

import base64
import re
import threading

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import BoundExceeded, ImageMissing, OverQuota, PatienceExceeded, Stopped, WaitError
from conformance.kube.lifecycle import delete_vmi, launcher_pod, wait_running, warnings
from conformance.kube.manifest import EVENT, POD, VMI, Ref, dig
from conformance.kube.outcome import EnvironmentFault, NonConformant
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import InterfaceStatus, NicSpec, Port, VmiSpec, VmiView
from conformance.kube.wait import wait_gone
from conformance.model import CoreBinding
from tests.unit.kube.apiserver import pod_manifest, set_status

NIC = NicSpec(binding="passt", mac="02:00:00:00:00:01", ports=(Port(22, "TCP", "ssh"),))


def spec(name: str) -> VmiSpec:
    return VmiSpec(name, "default", (NIC,), "an-image", "#cloud-config\n", node="node-1")


def test_the_manifest_says_what_the_spec_says() -> None:
    vmi = VmiSpec("a", "ns", (NIC, NicSpec("two", core=CoreBinding.BRIDGE, network="ns/nad")), "image", "data").vmi()
    assert dig(vmi, "spec", "domain", "devices", "interfaces") == [
        {
            "name": "default",
            "binding": {"name": "passt"},
            "macAddress": "02:00:00:00:00:01",
            "ports": [{"name": "ssh", "port": 22, "protocol": "TCP"}],
        },
        {"name": "two", "bridge": {}},
    ]
    assert dig(vmi, "spec", "networks") == [
        {"name": "default", "pod": {}},
        {"name": "two", "multus": {"networkName": "ns/nad"}},
    ]
    encoded = dig(vmi, "spec", "volumes", 1, "cloudInitNoCloud", "userDataBase64")
    assert base64.b64decode(encoded) == b"data"
    assert dig(VmiSpec("a", "ns", (NIC,), "i", "d").vm(), "spec", "template", "spec", "networks") == [
        {"name": "default", "pod": {}}
    ]


def test_a_vmi_is_accepted_and_followed_to_running(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(spec("runs").vmi()))
    running = {"phase": "Running", "nodeName": "node-1", "conditions": [{"type": "Ready", "status": "True"}]}
    interfaces = [{"name": "default", "ipAddress": "10.0.0.1", "infoSource": "domain, guest-agent"}]
    timer = threading.Timer(0.2, lambda: set_status(cluster, ref, {**running, "interfaces": interfaces}))
    timer.start()
    view = wait_running(cluster, ref, Deadline.bound(10))
    timer.join()
    assert (view.node, view.address(), view.migratable) == ("node-1", "10.0.0.1", False)
    assert view.interfaces[0].info_source == ("domain", "guest-agent")
    delete_vmi(cluster, ref, Deadline.patience(10))


def test_a_failed_vmi_ends_the_wait_with_its_pods_warnings(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(spec("fails").vmi()))
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "virt-launcher-fails-abcde", "namespace": "default"},
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": "no such network",
    }
    made = Ref.of(cluster.create(event))
    set_status(cluster, ref, {"phase": "Failed"})
    with pytest.raises(Stopped, match="FailedCreatePodSandBox: no such network"):
        wait_running(cluster, ref, Deadline.bound(30))
    assert warnings(cluster, VMI.ref("other", "default")) == []
    cluster.delete(ref)
    cluster.delete(EVENT.ref(made.name, "default"))


@pytest.mark.parametrize(
    "words",
    [
        "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
        "failed quota: q: must specify limits.cpu for: compute",
    ],
)
def test_a_quota_without_room_ends_the_wait_and_is_no_fault_of_the_binding(cluster: Cluster, words: str) -> None:
    ref = Ref.of(cluster.create(spec("refused").vmi()))
    message = f'failed to create virtual machine pod: pods "virt-launcher-refused-x" is forbidden: {words}'
    said = {"type": "Synchronized", "status": "False", "reason": "FailedCreate", "message": message}
    set_status(cluster, ref, {"phase": "Pending", "conditions": [said]})
    with pytest.raises(OverQuota, match=f"no pod: {words}") as caught:
        wait_running(cluster, ref, Deadline.bound(30))
    assert isinstance(caught.value, EnvironmentFault)
    with pytest.raises(PatienceExceeded):
        wait_gone(cluster, ref, Deadline.patience(0.2))
    cluster.delete(ref)


@pytest.mark.parametrize(
    ("named", "error"),
    [("the disk", ImageMissing), ("registry.example/sidecar:1", BoundExceeded)],
)
def test_a_guests_disk_that_is_not_pulled_is_no_fault_of_the_binding(
    cluster: Cluster, named: str, error: type[WaitError]
) -> None:
    made = cluster.create(spec("diskless").vmi())
    disks = (volume.get("containerDisk") for volume in made["spec"]["volumes"])
    (disk,) = (found["image"] for found in disks if found)
    image = disk if named == "the disk" else named
    message = f'Back-off pulling image "{image}": ErrImagePull: failed to resolve reference "{image}": not found'
    said = {"type": "Synchronized", "status": "False", "reason": "ImagePullBackOff", "message": message}
    set_status(cluster, Ref.of(made), {"phase": "Scheduling", "conditions": [said]})
    with pytest.raises(error, match=re.escape(image)):
        wait_running(cluster, Ref.of(made), Deadline.bound(0.3))
    cluster.delete(Ref.of(made))


@pytest.mark.parametrize(("container", "error"), [("compute", ImageMissing), ("hook-sidecar-0", BoundExceeded)])
def test_a_launcher_that_is_not_pulled_is_no_fault_of_the_binding(
    cluster: Cluster, container: str, error: type[WaitError]
) -> None:
    made = cluster.create(spec("unlaunched").vmi())
    set_status(cluster, Ref.of(made), {"phase": "Scheduling"})
    pod = pod_manifest("launcher-unlaunched")
    uid = made["metadata"]["uid"]
    pod["metadata"]["labels"] = {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": uid}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    statuses = [{"name": container, "image": "registry.example/some:1", "state": waiting}]
    set_status(cluster, Ref.of(cluster.create(pod)), {"phase": "Pending", "containerStatuses": statuses})
    with pytest.raises(error) as caught:
        wait_running(cluster, Ref.of(made), Deadline.bound(0.3))
    assert ("registry.example/some:1 is not pulled" in str(caught.value)) is (error is ImageMissing)
    cluster.delete(POD.ref("launcher-unlaunched", "default"), grace_seconds=0)
    cluster.delete(Ref.of(made))


def test_a_failure_that_names_no_quota_goes_on_being_waited_for(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(spec("unrendered").vmi()))
    said = {"type": "Synchronized", "status": "False", "reason": "FailedCreate", "message": "failed to render"}
    set_status(cluster, ref, {"phase": "Pending", "conditions": [said]})
    with pytest.raises(BoundExceeded):
        wait_running(cluster, ref, Deadline.bound(0.3))
    cluster.delete(ref)


def test_the_launcher_pod_is_the_live_one_on_the_vmis_node(cluster: Cluster) -> None:
    vmi = cluster.create(spec("moves").vmi())
    view = VmiView.of({**vmi, "status": {"phase": "Running", "nodeName": "node-2"}})
    with pytest.raises(NonConformant, match="no live pod"):
        launcher_pod(cluster, view)
    for name, node, phase in (
        ("old", "node-1", "Succeeded"),
        ("new", "node-2", "Running"),
        ("target", "node-1", "Running"),
    ):
        pod = pod_manifest(f"launcher-{name}")
        pod["metadata"]["labels"] = {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": view.uid}
        pod["spec"]["nodeName"] = node
        set_status(cluster, Ref.of(cluster.create(pod)), {"phase": phase})
    assert Ref.of(launcher_pod(cluster, view)).name == "launcher-new"
    for name in ("old", "new", "target"):
        cluster.delete(POD.ref(f"launcher-{name}", "default"), grace_seconds=0)
    cluster.delete(Ref.of(vmi))


def test_an_entry_without_addresses_list_uses_the_single_one() -> None:
    assert InterfaceStatus.of({"name": "a", "ipAddress": "1.2.3.4"}).addresses == ("1.2.3.4",)
    assert InterfaceStatus.of({"name": "a", "ipAddress": "1.2.3.4", "ipAddresses": ["1.2.3.4", "::1"]}).addresses == (
        "1.2.3.4",
        "::1",
    )
    assert InterfaceStatus.of({"name": "a"}) == InterfaceStatus("a", "", (), (), "", "", "", 0)

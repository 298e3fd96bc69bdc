"""VMs on the networks beside the pods' own: macvtap by KubeVirt's guide, other MTUs, several queues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from conformance.cluster.sandbox import SandboxProvider
from conformance.kube.cluster import Cluster
from conformance.kube.domain import attribute, domain_interfaces
from conformance.kube.lifecycle import launcher_pod, wait_running
from conformance.kube.manifest import DAEMON_SET, VM, VMI, Manifest, Ref, dig
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView
from conformance.kube.wait import wait_for
from conformance.model import CoreBinding, load_binding
from conformance.sandbox import daemon
from fixtures.images import LOCK
from tests.lacking import need_root

SECONDS = 90.0
DISK = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.6.0"
GUIDE = yaml.safe_load("""
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  labels:
    kubevirt.io/vm: vm-net-binding-macvtap
  name: vm-net-binding-macvtap
  namespace: default
spec:
  runStrategy: Always
  template:
    metadata:
      labels:
        kubevirt.io/vm: vm-net-binding-macvtap
    spec:
      domain:
        devices:
          disks:
          - disk:
              bus: virtio
            name: containerdisk
          - disk:
              bus: virtio
            name: cloudinitdisk
          interfaces:
          - name: podnet
            masquerade: {}
          - name: hostnetwork
            binding:
              name: macvtap
          rng: {}
        resources:
          requests:
            memory: 1024M
      networks:
      - name: podnet
        pod: {}
      - name: hostnetwork
        multus:
          networkName: macvtapnetwork
      terminationGracePeriodSeconds: 0
      volumes:
      - containerDisk:
          image: quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.1.0
        name: containerdisk
      - cloudInitNoCloud:
          networkData: |
            version: 2
            ethernets:
              eth0:
                dhcp4: true
        name: cloudinitdisk
""")
"""The VM of KubeVirt's guide to the macvtap binding, word for word but for the namespace."""


def nad(name: str, config: str) -> Manifest:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"config": config},
    }


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A sandbox with macvtap deployed and managedTap registered."""
    need_root()
    state = Path(f"/run/kbc-s{os.getpid()}")
    with daemon.start(daemon.Options(state_dir=state), lambda _stage, _fraction: None) as running:
        connected = Cluster.connect(running.kubeconfig, cache_file=tmp_path_factory.mktemp("api") / "discovery")
        macvtap = load_binding(LOCK.parent / "bindings" / "macvtap.yaml")
        provider = SandboxProvider(state)
        provider.up(lambda _text: None)
        provider.load_artifacts(macvtap)
        for manifest in macvtap.manifests:
            connected.apply(dict(manifest))
        deployed = DAEMON_SET.ref("macvtap-cni", "macvtap-cni")
        ready = ("status", "numberReady")
        wait_for(
            connected, deployed, "macvtap", lambda seen: dig(seen or {}, *ready, default=0) == 2, Deadline.patience(30)
        )
        Registration(connected, "macvtap").apply({"domainAttachmentType": "tap"})
        Registration(connected, "tapped").apply({"domainAttachmentType": "managedTap"})
        yield connected
        connected.close()


def started(cluster: Cluster, manifest: Manifest) -> VmiView:
    """Create a VM or VMI and wait until it runs."""
    created = Ref.of(cluster.create(manifest))
    return wait_running(cluster, VMI.ref(created.name, created.namespace), Deadline.patience(SECONDS))


def interfaces(cluster: Cluster, view: VmiView) -> dict[str, tuple[str, str]]:
    """Target and MTU of the domain's interfaces, by alias."""
    found = domain_interfaces(cluster, Ref.of(launcher_pod(cluster, view)))
    return {
        attribute(nic, "alias", "name"): (attribute(nic, "target", "dev"), attribute(nic, "mtu", "size"))
        for nic in found
    }


def test_the_guides_macvtap_vm_runs_as_written(networks: Cluster) -> None:
    view = started(networks, GUIDE)
    podnet, hostnetwork = view.interface("podnet"), view.interface("hostnetwork")
    assert podnet is not None
    assert hostnetwork is not None
    assert podnet.addresses
    assert hostnetwork.info_source == ("domain", "multus-status")
    assert interfaces(networks, view)["ua-hostnetwork"] == (hostnetwork.pod_interface, "1500"), "the macvtap itself"
    pod = launcher_pod(networks, view)
    compute = next(c for c in dig(pod, "spec", "containers") if c["name"] == "compute")
    assert dig(compute, "resources", "limits")["macvtap.network.kubevirt.io/eth1"] == "1"
    networks.delete(VM.ref("vm-net-binding-macvtap", "default"))


def test_managed_tap_takes_the_mtu_of_its_network(networks: Cluster) -> None:
    config = '"type": "bridge", "bridge": "br1", "mtu": 1400'
    networks.create(nad("small", f'{{"cniVersion": "1.0.0", "name": "small", {config}}}'))
    nics = (NicSpec("default", core=CoreBinding.MASQUERADE), NicSpec("small", "tapped", network="small"))
    manifest = VmiSpec("small", "default", nics, DISK, "#cloud-config\n").vmi()
    view = started(networks, manifest)
    found = interfaces(networks, view)
    assert found["ua-default"][1] == "1500"
    assert found["ua-small"][1] == "1400"
    networks.delete(Ref.of(manifest))


def test_managed_tap_with_several_queues(networks: Cluster) -> None:
    spec = VmiSpec("queues", "default", (NicSpec("default", "tapped"),), DISK, "#cloud-config\n", cpus=2)
    manifest = replace(spec, multiqueue=True).vmi()
    view = started(networks, manifest)
    entry = view.interface("default")
    assert entry is not None
    assert entry.queue_count == 2
    networks.delete(Ref.of(manifest))

"""The flows of KubeVirt's network binding plugin guide (tests/data/guide): what each applies, and what comes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from conformance.guest.guest import Guest
from conformance.guest.keys import GuestKeys
from conformance.guest.root import as_root
from conformance.kube.lifecycle import launcher_pods, pod_ips, wait_running
from conformance.kube.manifest import KUBEVIRT, NAMESPACE, NODE, VMI, Manifest, dig
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_gone, wait_until
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image, known_guest
from tests.providers.somebody import BINDINGS, ROOT, Somebody

GUIDE = ROOT / "tests" / "data" / "guide"
READER = "reader"
"""The namespace of somebody who reads the guide."""
ADDONS = "macvtap-cni"
"""The namespace of macvtap's DaemonSet, and of what configures it."""

CR = KUBEVIRT.ref("kubevirt", "kubevirt")
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Reader:
    """Somebody with the guide open, and their cluster."""

    owner: Somebody
    kubectl: Kubectl

    def apply(self, name: str, namespace: str) -> None:
        require(self.kubectl("apply", "-n", namespace, "-f", str(GUIDE / f"{name}.yaml")))

    def patch(self, name: str) -> subprocess.CompletedProcess[str]:
        """The guide's command line, with one of its patches."""
        text = (GUIDE / name).read_text(encoding="utf-8")
        return self.kubectl("patch", "kubevirts", "-n", "kubevirt", "kubevirt", "--type=json", f"-p={text}")

    def registered(self) -> dict[str, Manifest]:
        return dict(dig(self.owner.cluster.get(CR), "spec", "configuration", "network", "binding", default={}))

    def running(self, vm: str) -> VmiView:
        return wait_running(self.owner.cluster, VMI.ref(vm, READER), Deadline.patience(120))

    def launcher_of(self, vm: str) -> Manifest:
        """The launcher pod of a VM, once there is one."""
        ref = VMI.ref(vm, READER)

        def pods() -> tuple[Manifest, ...]:
            found = self.owner.cluster.find(ref)
            return launcher_pods(self.owner.cluster, VmiView.of(found)) if found else ()

        return wait_until(f"{ref} has a launcher pod", pods, Deadline.patience(30), every=0.2)[0]

    def client(self, node: str = "") -> ClientPod:
        manifest = client_pod_manifest("client", READER, client_image(), node=node)
        return ClientPod.start(self.owner.cluster, manifest, Deadline.patience(60))

    def guest(self, vm: str) -> Guest:
        """The guest by its console, as the account that the guide's image brings: its cloud-init data has none."""
        image, keys = known_guest(), GuestKeys.generate()
        return Guest(self.owner.cluster, READER, vm, image=image, keys=keys, timeouts=Timeouts())


def require(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


def wait_answer(client: ClientPod, address: str) -> None:
    """SSH is served at the address, as seen by a client pod."""
    wait_until(
        f"the guest answers at {address}",
        lambda: client.tcp_connect(address, 22, banner=True).banner,
        Deadline.patience(90),
        until=lambda banner: banner.startswith("SSH-"),
    )


# ---------------------------------------------------------------------------------------------------- what comes of it


def on_the_pod_network(interface: str, vm: str) -> Callable[[Reader], None]:
    """The guest speaks at the address that the pod network gave: only by DHCP can it have that (nobody logs in)."""

    def look(reader: Reader) -> None:
        wait_answer(reader.client(), reader.running(vm).address(interface))

    return look


def on_the_nodes_network(reader: Reader) -> None:
    """The guest takes an address of the nodes' network, and is met there by all but its own node."""
    vm = "vm-net-binding-macvtap"
    vmi = reader.running(vm)
    nodes = {dig(node, "metadata", "name"): node for node in reader.owner.cluster.list(NODE).items}
    other = next(name for name in nodes if name != vmi.node)
    client = reader.client(other)
    wait_answer(client, vmi.address("podnet"))
    entry = vmi.interface("hostnetwork")
    assert entry is not None
    addresses = dig(nodes[other], "status", "addresses", default=[])
    neighbour = next(a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"])
    address = f"{neighbour.rpartition('.')[0]}.77"
    with reader.guest(vm) as guest:
        nic = guest.nic(entry.mac)
        assert nic is not None, f"no NIC of the guest has {entry.mac}"
        guest.run(as_root(f"ip address add {address}/24 dev {nic.name}"), check=True)
        assert guest.client().ping(neighbour).received, "the guest does not reach a node on the nodes' network"
    wait_answer(client, address)


def behind_a_user_network(reader: Reader) -> None:
    """QEMU gives the guest its lease, and lets out what it sends; in comes what a port is listed for."""
    vm = "vm-net-binding-passt"
    reader.running(vm)
    client = reader.client()
    with reader.guest(vm) as guest:
        leased = guest.wait_for_lease(Deadline.patience(60))
        assert [str(address.ip) for address in leased.nics[0].ipv4()] == ["10.0.2.15"]
        out = guest.client().tcp_connect("kubernetes.default.svc.cluster.local", 443)
        assert out.ok, out.error
    (address,) = pod_ips(reader.launcher_of(vm))[:1]
    assert not client.tcp_connect(address, 22).ok, "a port that is not listed is forwarded"
    list_port(reader, vm)
    (address,) = pod_ips(reader.launcher_of(vm))[:1]
    wait_answer(client, address)


def list_port(reader: Reader, vm: str) -> None:
    """What the API reference says to do: name the port at the interface, and restart."""
    before = VmiView.of(reader.owner.cluster.get(VMI.ref(vm, READER))).uid
    path = "/spec/template/spec/domain/devices/interfaces/0/ports"
    patch = f'[{{"op": "add", "path": "{path}", "value": [{{"port": 22}}]}}]'
    require(reader.kubectl("patch", "vm", "-n", READER, vm, "--type=json", f"-p={patch}"))
    require(reader.kubectl("delete", "vmi", "-n", READER, vm))
    ref = VMI.ref(vm, READER)
    wait_until(
        f"{ref} has been started again",
        lambda: dig(reader.owner.cluster.find(ref) or {}, "metadata", "uid", default=before),
        Deadline.patience(60),
        until=lambda uid: uid != before,
        every=0.2,
    )
    reader.running(vm)


# --------------------------------------------------------------------------------------------------------- the flows


@dataclass(frozen=True)
class Flow:
    """One binding's: ``manifests`` by the namespace that they are for; what its launcher pods must then have; what the
    reader sees of the VM.
    """

    name: str
    vm: str
    works: Callable[[Reader], None]
    manifests: tuple[tuple[str, str], ...] = ()
    sidecar: str = ""
    networks: tuple[str, ...] = ()
    resource: str = ""
    addons: bool = False
    """Whether the guide has the cluster's administrator deploy macvtap first."""

    def follow(self, reader: Reader) -> None:
        """Everything, as the guide has it."""
        for namespace, name in self.manifests:
            reader.apply(name, namespace)
        require(reader.patch(f"{self.name}-registration.json"))
        reader.apply(f"{self.name}-vm", READER)


FLOWS = (
    Flow(
        "passt",
        "vm-net-binding-passt",
        on_the_pod_network("passtnet", "vm-net-binding-passt"),
        (("default", "passt-network"),),
        sidecar="quay.io/kubevirt/network-passt-binding:20231205_29a16d5c9",
        networks=("default/netbindingpasst",),
    ),
    Flow(
        "macvtap",
        "vm-net-binding-macvtap",
        on_the_nodes_network,
        ((READER, "macvtap-network"),),
        networks=(f"{READER}/macvtapnetwork",),
        resource="macvtap.network.kubevirt.io/eth0",
        addons=True,
    ),
    Flow(
        "slirp",
        "vm-net-binding-passt",
        behind_a_user_network,
        sidecar="quay.io/kubevirt/network-slirp-binding:v1.1.0",
    ),
    Flow(
        "managedtap",
        "vm-net-binding-managedtap",
        on_the_pod_network("tapnet", "vm-net-binding-managedtap"),
    ),
)


# ------------------------------------------------------------------------------------------- macvtap's device plugin


@contextmanager
def macvtap_deployed(reader: Reader, config: str) -> Iterator[None]:
    """macvtap's DaemonSet, with one of the guide's configurations; it is not waited for."""
    cluster = reader.owner.cluster
    parts = {m["kind"]: m for m in yaml.safe_load_all((BINDINGS / "manifests" / "macvtap.yaml").read_text())}
    cluster.create(parts["Namespace"])
    reader.apply(config, ADDONS)
    cluster.create(parts["DaemonSet"])
    yield
    cluster.delete(NAMESPACE.ref(ADDONS))
    wait_gone(cluster, NAMESPACE.ref(ADDONS), Deadline.patience(60))


def wait_offered(reader: Reader, name: str) -> set[str]:
    """What all nodes offer of macvtap, once that is among it."""

    def offered() -> set[str]:
        found = [
            {key for key, count in dig(node, "status", "allocatable", default={}).items() if count != "0"}
            for node in reader.owner.cluster.list(NODE).items
        ]
        return {key for key in set.intersection(*found) if key.startswith("macvtap.")}

    return wait_until(
        f"the nodes offer {name}", offered, Deadline.patience(60), until=lambda found: name in found, every=0.3
    )

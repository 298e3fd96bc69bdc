"""What the parts of a real cluster would do with what is applied to it, played on an API server: controllers, kubelets,
virt-operator. Named so: nothing here proves that an image runs; it proves what the provider applies and waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import DAEMON_SET, DEPLOYMENT, KUBEVIRT, NODE, POD, Manifest, Ref, dig

NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
DEVICES = ("kvm", "tun", "vhost-net")


def node_manifests(name: str, config: dict[str, Any]) -> list[Manifest]:
    """The nodes of a kind configuration, as kind names them."""
    made, workers = [], 0
    for node in config["nodes"]:
        control = node["role"] == "control-plane"
        workers += not control
        suffix = "control-plane" if control else f"worker{'' if workers == 1 else workers}"
        taints = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}] if control else []
        made.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": f"{name}-{suffix}", "labels": node.get("labels", {})},
                "spec": {"taints": taints},
            }
        )
    return made


def ready_node(cluster: Cluster, name: str) -> None:
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    cluster.patch(NODE.ref(name), {"status": {"conditions": conditions}}, subresource="status")


class PlayedCluster:
    """Looks at the API server ten times a second and does what is due. ``broken`` names what never comes about:
    ``coredns``, ``multus``, ``attach``, ``operator``, ``kubevirt``, ``handler``, ``devices``. Where the cluster
    ``has_nodes`` of its own, those run the pods of DaemonSets.
    """

    def __init__(
        self, kubeconfig: Path, broken: str = "", trouble: Manifest | None = None, *, has_nodes: bool = False
    ) -> None:
        self._cluster = Cluster.connect(kubeconfig)
        self._acts = [self._coredns, self._deployments, self._kubevirt]
        if not has_nodes:
            self._acts.insert(1, self._daemon_sets)
        self._broken, self._trouble = broken, trouble or {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="played cluster")
        self.probed: set[str] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._cluster.close()

    def _play(self) -> None:
        while not self._stop.wait(0.1):
            for act in self._acts:
                with suppress(KubeError):
                    act()

    def _workers(self) -> tuple[str, ...]:
        return self._cluster.nodes()

    def _coredns(self) -> None:
        if self._workers() and self._broken != "coredns":
            self._make(workload(DEPLOYMENT.kind, "coredns", "kube-system"))

    def _daemon_sets(self) -> None:
        for seen in self._cluster.list(DAEMON_SET).items:
            name = seen["metadata"]["name"]
            if {"kube-multus-ds": "multus", "virt-handler": "handler"}.get(name) == self._broken:
                self._pods(seen, ready=False)
                continue
            self._pods(seen, ready=True)
            count = len(self._workers())
            status = {"desiredNumberScheduled": count, "numberReady": count, "currentNumberScheduled": count}
            status |= {"numberMisscheduled": 0, "observedGeneration": dig(seen, "metadata", "generation", default=1)}
            self._status(Ref.of(seen), status)

    def _pods(self, owner: Manifest, *, ready: bool) -> None:
        """One pod per node; the first generation of probes is made before Multus is ready, and is not attached."""
        meta = owner["metadata"]
        for node in self._workers():
            ref = POD.ref(f"{meta['name']}-{node}", meta["namespace"])
            if self._cluster.find(ref) is not None:
                continue
            again = ref.name in self.probed
            attached = {NETWORK_STATUS: "[]"} if again and self._broken != "attach" else {}
            self.probed.add(ref.name)
            template = owner["spec"]["template"]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": ref.name,
                    "namespace": ref.namespace,
                    "labels": template["metadata"]["labels"],
                    "annotations": attached,
                    "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": meta["name"], "uid": meta["uid"]}
                    ],
                },
                "spec": {**template["spec"], "nodeName": node},
            }
            self._cluster.create(pod)
            container = template["spec"]["containers"][0]["name"]
            status = {"name": container, "ready": ready, "restartCount": 0, "image": "i", "imageID": ""}
            state = {} if ready else self._trouble
            self._status(ref, {"phase": "Running", "containerStatuses": [{**status, **state}]})

    def _deployments(self) -> None:
        for seen in self._cluster.list(DEPLOYMENT).items:
            if seen["metadata"]["name"] == "virt-operator" and self._broken == "operator":
                continue
            conditions = [{"type": "Available", "status": "True"}]
            self._status(Ref.of(seen), {"conditions": conditions, "availableReplicas": 1})

    def _kubevirt(self) -> None:
        kubevirt = self._cluster.find(KUBEVIRT.ref("kubevirt", "kubevirt"))
        operator = self._cluster.find(DEPLOYMENT.ref("virt-operator", "kubevirt"))
        if kubevirt is None or operator is None or self._broken == "kubevirt":
            return
        version = operator["spec"]["template"]["spec"]["containers"][0]["image"].split(":")[1].split("@")[0]
        self._make(workload(DAEMON_SET.kind, "virt-handler", "kubevirt"))
        conditions = [{"type": "Available", "status": "True"}]
        status = {"phase": "Deployed", "observedKubeVirtVersion": version, "conditions": conditions}
        self._status(Ref.of(kubevirt), status)
        emulated = dig(kubevirt, "spec", "configuration", "developerConfiguration", "useEmulation", default=False)
        devices = () if self._broken == "devices" else ("tun",) if emulated else DEVICES
        for node in self._workers():
            allocatable = {f"devices.kubevirt.io/{device}": "1k" for device in devices}
            self._status(NODE.ref(node), {"allocatable": {"cpu": "2", **allocatable}})

    def _make(self, manifest: Manifest) -> None:
        if self._cluster.find(Ref.of(manifest)) is None:
            self._cluster.create(manifest)

    def _status(self, ref: Ref, status: Manifest) -> None:
        self._cluster.patch(ref.any_uid(), {"status": status}, subresource="status")


def workload(kind: str, name: str, namespace: str, image: str = "an-image") -> Manifest:
    """A Deployment or DaemonSet with one container."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }


@contextmanager
def played(
    kubeconfig: Path, broken: str = "", trouble: Manifest | None = None, *, has_nodes: bool = False
) -> Iterator[PlayedCluster]:
    """The parts at work, for as long as the block lasts."""
    player = PlayedCluster(kubeconfig, broken, trouble, has_nodes=has_nodes)
    player.start()
    try:
        yield player
    finally:
        player.stop()

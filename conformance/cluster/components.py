"""Multus and KubeVirt put onto a cluster of ours, and waited for in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, Literal

import yaml

from conformance.cluster.diagnosis import diagnose
from conformance.cluster.provider import Progress, ProviderError
from conformance.cluster.readiness import READY, daemon_set_ready
from conformance.images.lock import ImagesLock, LockedImage, LockedManifest, Part, repository_of
from conformance.images.manifests import Manifests
from conformance.kube.cluster import Cluster
from conformance.kube.errors import WaitError
from conformance.kube.manifest import (
    CRD,
    DAEMON_SET,
    DEPLOYMENT,
    KUBEVIRT,
    NODE,
    POD,
    Kind,
    Manifest,
    Ref,
    dig,
    is_true,
)
from conformance.kube.timeouts import Timeout, Timeouts
from conformance.kube.wait import wait_for, wait_gone, wait_until
from conformance.model import Version

KUBEVIRT_NAMESPACE: Final = "kubevirt"
THICK_MEMORY: Final = "512Mi"
PROBE: Final = DAEMON_SET.ref("multus-probe", "default")
"""Not in kube-system, whose pods Multus attaches without telling of it."""

_NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
_OPERATOR_IMAGES = {
    "VIRT_OPERATOR_IMAGE": "virt-operator",
    "VIRT_API_IMAGE": "virt-api",
    "VIRT_CONTROLLER_IMAGE": "virt-controller",
    "VIRT_HANDLER_IMAGE": "virt-handler",
    "VIRT_LAUNCHER_IMAGE": "virt-launcher",
}


@dataclass(frozen=True)
class Plan:
    """What is to run: releases as the lock has them, and whether guests are emulated."""

    kubevirt: str
    multus: Literal["thin", "thick"]
    emulation: bool
    probe_image: str


@dataclass(frozen=True)
class Components:
    """Multus and KubeVirt on one cluster."""

    cluster: Cluster
    plan: Plan
    manifests: Manifests
    timeouts: Timeouts
    progress: Progress
    namespaces: tuple[str, ...] = field(default=("kube-system", KUBEVIRT_NAMESPACE, PROBE.namespace))

    @property
    def wanted(self) -> tuple[LockedManifest, ...]:
        """The manifests that are applied."""
        lock = self.manifests.lock
        multus = next(m for m in lock.manifests if m.name == f"multus-{self.plan.multus}")
        return multus, lock.manifest("kubevirt-operator", self.plan.kubevirt)

    def deploy(self) -> None:
        """Everything, in order. Raises ProviderError that says which wait ended and what the pods say."""
        multus, operator = self.wanted
        self.wait_nodes()
        self._apply(multus, lambda document: raise_memory(document) if self.plan.multus == "thick" else document)
        self.wait_multus()
        self._apply(operator, self._with_images)
        self._apply_cr()
        self.wait_kubevirt()

    def wait_nodes(self) -> None:
        """Every node Ready, and the cluster's DNS there."""
        with self._explained("the nodes"):
            self.progress("waiting for the nodes")
            wait_until(
                "every node is Ready",
                lambda: [dig(n, "metadata", "name") for n in self.cluster.list(NODE).items if not is_true(n, "Ready")],
                self.timeouts.nodes_ready.start(),
                until=lambda waiting: not waiting and bool(self.cluster.nodes()),
                saw=lambda waiting: f"not Ready: {', '.join(waiting) or 'there is no node for pods'}",
            )
            self._ready(DEPLOYMENT.ref("coredns", "kube-system"), self.timeouts.nodes_ready)

    def wait_multus(self) -> None:
        """Multus on every node, and new pods attached by it: a pod on each node must come to have a network-status."""
        self._ready(CRD.ref("network-attachment-definitions.k8s.cni.cncf.io"), self.timeouts.component_ready)
        self._ready(DAEMON_SET.ref("kube-multus-ds", "kube-system"), self.timeouts.component_ready)
        with self._explained("Multus"):
            self.progress("waiting until Multus attaches new pods on every node")
            self.cluster.apply(probe_manifest(self.plan.probe_image))
            try:
                wait_until(
                    "a new pod on every node is attached by Multus",
                    self._unattached,
                    self.timeouts.component_ready.start(),
                    until=lambda nodes: not nodes,
                    saw=lambda nodes: f"not yet on {', '.join(nodes)}",
                )
            finally:
                self.cluster.delete(PROBE)
            wait_gone(self.cluster, PROBE, self.timeouts.deletion.start())

    def wait_kubevirt(self) -> None:
        """Operator, KubeVirt itself, virt-handler on every node, and the devices it offers."""
        self._ready(DEPLOYMENT.ref("virt-operator", KUBEVIRT_NAMESPACE), self.timeouts.component_ready)
        with self._explained("KubeVirt"):
            self.progress("waiting for KubeVirt to be Available")
            wait_for(
                self.cluster,
                KUBEVIRT.ref("kubevirt", KUBEVIRT_NAMESPACE),
                "KubeVirt is Deployed and Available",
                lambda seen: (
                    seen is not None and is_true(seen, "Available") and dig(seen, "status", "phase") == "Deployed"
                ),
                self.timeouts.component_ready.start(),
            )
        self._ready(DAEMON_SET.ref("virt-handler", KUBEVIRT_NAMESPACE), self.timeouts.component_ready)
        with self._explained("the devices of virt-handler"):
            devices = ("tun",) if self.plan.emulation else ("tun", "kvm", "vhost-net")
            self.progress(f"waiting for devices.kubevirt.io/{{{','.join(devices)}}} on every node")
            wait_until(
                f"every node offers {', '.join(devices)}",
                lambda: self._without(devices),
                self.timeouts.component_ready.start(),
                until=lambda missing: not missing,
                saw=lambda missing: f"missing: {', '.join(missing)}",
            )

    # -- what is applied ------------------------------------------------------------------------------------------

    def _apply(self, manifest: LockedManifest, change: Callable[[Manifest], Manifest]) -> None:
        self.progress(f"applying {manifest.name} {manifest.version}")
        for document in self.manifests.documents(manifest):
            applied = change(with_locked_images(document, self.manifests.lock, self.plan.multus))
            self.cluster.apply(applied, force=True)
            if Kind.of(applied) == CRD:
                self._ready(Ref.of(applied), self.timeouts.component_ready)

    def _with_images(self, document: Manifest) -> Manifest:
        """The operator told its components' images by digest, where the lock has all of them."""
        images = {
            name: self.manifests.lock.image(f"quay.io/kubevirt/{component}", self.plan.kubevirt)
            for name, component in _OPERATOR_IMAGES.items()
        }
        by_digest = all(image.reference != image.name for image in images.values())
        if Kind.of(document) != DEPLOYMENT or not by_digest:
            return document
        for container in dig(document, "spec", "template", "spec", "containers", default=[]):
            named = [entry for entry in container.get("env", []) if entry["name"] not in images]
            container["env"] = [*named, *({"name": name, "value": i.reference} for name, i in images.items())]
        return document

    def _apply_cr(self) -> None:
        self.progress(f"applying the KubeVirt CR{' with useEmulation' if self.plan.emulation else ''}")
        self.cluster.apply(kubevirt_manifest(self.plan))

    # -- what is waited for ---------------------------------------------------------------------------------------

    def _ready(self, ref: Ref, patience: Timeout) -> None:
        ready = READY[ref.kind]
        with self._explained(str(ref)):
            self.progress(f"waiting for {ref}")
            wait_for(
                self.cluster, ref, f"{ref} is ready", lambda seen: seen is not None and ready(seen), patience.start()
            )

    def _unattached(self) -> list[str]:
        """Nodes whose probe Multus has not attached; a probe that was made before Multus was there is made anew."""
        probe = self.cluster.find(PROBE)
        if probe is None or not daemon_set_ready(probe):
            return ["nodes whose probe is not ready"]
        attached = set()
        for pod in self.cluster.list(POD, PROBE.namespace, labels=f"app={PROBE.name}").items:
            if _NETWORK_STATUS in dig(pod, "metadata", "annotations", default={}):
                attached.add(str(dig(pod, "spec", "nodeName")))
            else:
                self.cluster.delete(Ref.of(pod), grace_seconds=0)
        return [node for node in self.cluster.nodes() if node not in attached]

    def _without(self, devices: Iterable[str]) -> list[str]:
        missing = []
        for name in self.cluster.nodes():
            allocatable = dig(self.cluster.get(NODE.ref(name)), "status", "allocatable", default={})
            missing += [
                f"{d} on {name}" for d in devices if str(allocatable.get(f"devices.kubevirt.io/{d}", "0")) == "0"
            ]
        return missing

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except WaitError as error:
            found = diagnose(self.cluster, self.namespaces)
            raise ProviderError("\n".join(filter(None, (f"{what}: {error}", found)))) from error


def with_locked_images(document: Any, lock: ImagesLock, multus: str) -> Any:
    """The document with every image as the lock has it. Raises LockError for an image that it does not have.

    Third parties name moving tags (``snapshot``); the lock's tag for that repository is put in their place.
    """
    if isinstance(document, list):
        return [with_locked_images(item, lock, multus) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: _locked(value, lock, multus).reference
        if key == "image" and isinstance(value, str)
        else with_locked_images(value, lock, multus)
        for key, value in document.items()
    }


def _locked(reference: str, lock: ImagesLock, multus: str) -> LockedImage:
    repository = repository_of(reference)
    candidates = [image for image in lock.images if image.repository == repository]
    if candidates and candidates[0].part is Part.MULTUS:
        thick = multus == "thick"
        return next(image for image in candidates if image.tag.endswith("-thick") == thick)
    return lock.image(repository, reference.removeprefix(repository).removeprefix(":").partition("@")[0])


def raise_memory(document: Manifest) -> Manifest:
    """The thick daemon with room to breathe: as published it is killed for lack of memory (multus #1346, #1416)."""
    if Kind.of(document) == DAEMON_SET:
        for container in dig(document, "spec", "template", "spec", "containers", default=[]):
            container["resources"] = {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"memory": THICK_MEMORY},
            }
    return document


def kubevirt_manifest(plan: Plan) -> Manifest:
    """The KubeVirt CR: emulation where there is no KVM, and the feature gates that the release has to be told."""
    developer: Manifest = {"featureGates": list(feature_gates(plan.kubevirt))}
    if plan.emulation:
        developer["useEmulation"] = True
    return {
        "apiVersion": KUBEVIRT.api_version,
        "kind": KUBEVIRT.kind,
        "metadata": {"name": "kubevirt", "namespace": KUBEVIRT_NAMESPACE},
        "spec": {"imagePullPolicy": "IfNotPresent", "configuration": {"developerConfiguration": developer}},
    }


def feature_gates(release: str) -> tuple[str, ...]:
    """The gates that a KubeVirt release has to be told."""
    table = yaml.safe_load((files(__package__) / "releases.yaml").read_text(encoding="utf-8"))["feature-gates"]
    wanted = Version.parse(release)
    since = [gates for first, gates in table.items() if Version.parse(first) <= wanted]
    return tuple(since[-1]) if since else ()


def probe_manifest(image: str) -> Manifest:
    """A DaemonSet whose pods do nothing but be attached to the network."""
    labels = {"app": PROBE.name}
    container = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
    }
    return {
        "apiVersion": DAEMON_SET.api_version,
        "kind": DAEMON_SET.kind,
        "metadata": {"name": PROBE.name, "namespace": PROBE.namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }

"""Kubernetes objects as they travel: JSON mappings, and the names we give to kinds and to single objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# An object of any kind, in Kubernetes' own casing. Only the API server knows its schema, hence Any.
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object, by API version and kind as manifests spell them."""

    api_version: str
    kind: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Kind:
        return cls(str(manifest["apiVersion"]), str(manifest["kind"]))

    def ref(self, name: str, namespace: str = "", uid: str = "") -> Ref:
        """The object of this kind with that name; ``namespace`` stays empty for cluster-scoped kinds."""
        return Ref(self, name, namespace, uid)

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Ref:
    """One object. ``uid`` is empty when any incarnation will do; with it, a re-created namesake is another object."""

    kind: Kind
    name: str
    namespace: str = ""
    uid: str = ""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Ref:
        meta = manifest.get("metadata", {})
        return cls(Kind.of(manifest), meta.get("name", ""), meta.get("namespace", ""), meta.get("uid", ""))

    def any_uid(self) -> Ref:
        return replace(self, uid="")

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


NAMESPACE = Kind("v1", "Namespace")
NODE = Kind("v1", "Node")
POD = Kind("v1", "Pod")
EVENT = Kind("v1", "Event")
SERVICE = Kind("v1", "Service")
CONFIG_MAP = Kind("v1", "ConfigMap")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice")
DAEMON_SET = Kind("apps/v1", "DaemonSet")
DEPLOYMENT = Kind("apps/v1", "Deployment")
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
KUBEVIRT = Kind("kubevirt.io/v1", "KubeVirt")
HYPERCONVERGED = Kind("hco.kubevirt.io/v1beta1", "HyperConverged")
HYPERCONVERGED_V1 = Kind("hco.kubevirt.io/v1", "HyperConverged")
VM = Kind("kubevirt.io/v1", "VirtualMachine")
VMI = Kind("kubevirt.io/v1", "VirtualMachineInstance")
MIGRATION = Kind("kubevirt.io/v1", "VirtualMachineInstanceMigration")
NAD = Kind("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition")


def dig(manifest: Mapping[str, Any], *path: str | int, default: Any = None) -> Any:
    """The value at ``path`` (keys and list indices), or ``default`` when a step is missing or null."""
    value: Any = manifest
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if value is None else value


def condition(manifest: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The entry of ``status.conditions`` with that ``type``, or None."""
    return next((c for c in dig(manifest, "status", "conditions", default=[]) if c.get("type") == kind), None)


def is_true(manifest: Mapping[str, Any], kind: str) -> bool:
    """Whether the condition of that type exists and has status ``True``."""
    found = condition(manifest, kind)
    return found is not None and found.get("status") == "True"

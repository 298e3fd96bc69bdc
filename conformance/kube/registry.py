"""Where a cluster keeps its binding registrations: in the KubeVirt CR, or in the HyperConverged that owns that CR.

The HyperConverged Cluster Operator writes the KubeVirt CR itself and reverts what anybody else writes there; under it a
binding is registered in ``HyperConverged.spec.networkBinding`` (v1beta1; ``spec.networking.networkBinding`` in v1).
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.kube.cluster import Cluster
from conformance.kube.errors import KindUnknown, Unusable
from conformance.kube.manifest import HYPERCONVERGED, HYPERCONVERGED_V1, KUBEVIRT, Kind, Manifest, Ref, dig

KUBEVIRT_PATH = ("spec", "configuration", "network", "binding")
_PATHS: dict[Kind, tuple[str, ...]] = {
    KUBEVIRT: KUBEVIRT_PATH,
    HYPERCONVERGED: ("spec", "networkBinding"),
    HYPERCONVERGED_V1: ("spec", "networking", "networkBinding"),
}
_PLURALS = {KUBEVIRT.kind: "kubevirts", HYPERCONVERGED.kind: "hyperconvergeds"}
_GROUP = "hco.kubevirt.io"
_ONLY_NAME = "kubevirt-hyperconverged"


@dataclass(frozen=True)
class Registry:
    """``ref`` holds the registrations, ``kubevirt`` is the CR that KubeVirt reads; without HCO they are the same."""

    ref: Ref
    kubevirt: Ref

    @property
    def by_hco(self) -> bool:
        """Whether HCO owns the KubeVirt CR."""
        return self.ref.kind != KUBEVIRT

    @property
    def path(self) -> tuple[str, ...]:
        """Where in the object the registrations are, by binding name."""
        return path_of(self.ref.kind)

    @property
    def group(self) -> str:
        return self.ref.kind.api_version.partition("/")[0]

    @property
    def resource(self) -> str:
        """The plural that RBAC knows it by."""
        return _PLURALS[self.ref.kind.kind]


def path_of(kind: Kind) -> tuple[str, ...]:
    """Where in an object of that kind the registrations are."""
    return _PATHS[kind]


def find_kubevirt(cluster: Cluster) -> Manifest:
    """The one KubeVirt CR. Raises Unusable when there is none, or more than one."""
    try:
        found = cluster.list(KUBEVIRT).items
    except KindUnknown as error:
        raise Unusable(f"{error}: this cluster has no KubeVirt") from error
    if len(found) != 1:
        raise Unusable(
            f"the cluster has {len(found)} KubeVirt objects, one is needed: {[str(Ref.of(f)) for f in found]}"
        )
    return found[0]


def gate_enabled(kubevirt: Manifest, gate: str) -> bool:
    """Whether a KubeVirt CR lists a feature gate as on."""
    developer = dig(kubevirt, "spec", "configuration", "developerConfiguration", default={})
    return gate in (developer.get("featureGates") or ()) and gate not in (developer.get("disabledFeatureGates") or ())


def find_registry(cluster: Cluster) -> Registry:
    """The registry of a cluster, by what the KubeVirt CR says of its owner."""
    kubevirt = find_kubevirt(cluster)
    ref = Ref.of(kubevirt).any_uid()
    owner = _hyperconverged(kubevirt)
    if not owner:
        return Registry(ref, ref)
    kind = next((kind for kind in (HYPERCONVERGED, HYPERCONVERGED_V1) if cluster.serves(kind)), None)
    if kind is None:
        raise Unusable(f"{ref} is managed by HCO, but the cluster does not serve {_GROUP}: install its CRDs again")
    return Registry(kind.ref(owner, ref.namespace), ref)


def _hyperconverged(kubevirt: Manifest) -> str:
    """The name of the HyperConverged that owns the CR, empty when none does."""
    for owner in dig(kubevirt, "metadata", "ownerReferences", default=[]):
        if owner.get("kind") == HYPERCONVERGED.kind and str(owner.get("apiVersion", "")).startswith(f"{_GROUP}/"):
            return str(owner["name"])
    managed = dig(kubevirt, "metadata", "labels", "app.kubernetes.io/managed-by")
    return _ONLY_NAME if managed == "hco-operator" else ""

"""Whether a cluster fits: what KubeVirt, Multus and the nodes must be for a binding to be judged at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from conformance.cluster.provider import ProviderError
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import NAD, NODE, VMI, Manifest, condition, dig
from conformance.kube.registry import Registry, find_kubevirt, gate_enabled
from conformance.model import Binding, Capability
from conformance.model.version import Version, VersionError
from conformance.site import Site

_FIRST = Version(1, 1)
"""The release that brought network binding plugins."""

_GATE, _GATE_ENDS = "NetworkBindingPlugins", Version(1, 5)
"""Until that release they need the feature gate."""

_SCHEDULABLE = "kubevirt.io/schedulable"


@dataclass(frozen=True)
class Unfit:
    """One reason why a cluster does not fit, and what mends it."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"  {self.what}\n    fix: {self.fix}"


def require_fit(cluster: Cluster, registry: Registry, binding: Binding, nodes: tuple[str, ...], site: Site) -> None:
    """Raise ProviderError with every reason why the binding cannot be judged on this cluster."""
    if reasons := tuple(unfit(cluster, registry, binding, nodes, site)):
        listed = "\n".join(map(str, reasons))
        raise ProviderError(f"this cluster does not fit {binding.name}:\n{listed}")


def unfit(
    cluster: Cluster, registry: Registry, binding: Binding, nodes: tuple[str, ...], site: Site
) -> Iterator[Unfit]:
    """The reasons. ``nodes`` are those that the run may use, ``site`` what is said about the cluster."""
    kubevirt = find_kubevirt(cluster)
    phase = dig(kubevirt, "status", "phase", default="(none)")
    if phase != "Deployed":
        yield Unfit(f"KubeVirt is not ready: phase {phase}", f"wait until {registry.kubevirt} is Deployed")
    yield from _old_kubevirt(kubevirt, registry)
    for gate in site.disabled_feature_gates:
        if gate_enabled(kubevirt, gate):
            what = (
                f"the site file says that the feature gate {gate} is kept off, and {registry.kubevirt} lists it as on"
            )
            yield Unfit(what, "remove it from spec.disabledFeatureGates of the site file")
    if not cluster.serves(VMI):
        yield Unfit(f"the API does not serve {VMI.kind}", "install KubeVirt completely")
    if not cluster.serves(NAD):
        fix = "install Multus: https://github.com/k8snetworkplumbingwg/multus-cni#quickstart-installation-guide"
        yield Unfit(f"the API does not serve {NAD.kind}: Multus is not (fully) installed", fix)
    if not nodes:
        yield Unfit("no node can run a virtual machine", "make a node schedulable, or correct nodeSelector of the site")
    elif len(nodes) < 2 and Capability.MIGRATION in binding.capabilities:
        what = f"{binding.name} can be migrated, but only {nodes[0]} can run virtual machines"
        yield Unfit(what, "add a node, uncordon one, or take `migration` out of the registration")


def usable_nodes(cluster: Cluster, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the nodes that can run a virtual machine and have all ``labels``, sorted."""
    nodes = [node for node in cluster.list(NODE).items if _usable(node, labels)]
    return tuple(sorted(str(node["metadata"]["name"]) for node in nodes))


def _usable(node: Manifest, labels: Mapping[str, str]) -> bool:
    own = dig(node, "metadata", "labels", default={})
    ready = condition(node, "Ready")
    return (
        not dig(node, "spec", "unschedulable")
        and (ready is None or ready.get("status") == "True")
        and own.get(_SCHEDULABLE, "true") == "true"
        and labels.items() <= own.items()
    )


def _old_kubevirt(kubevirt: Manifest, registry: Registry) -> Iterator[Unfit]:
    text = str(dig(kubevirt, "status", "observedKubeVirtVersion", default=""))
    try:
        version = Version.parse(text)
    except VersionError:
        if text:
            yield Unfit(f"KubeVirt calls itself {text!r}", "install a release: network binding plugins came with v1.1")
        return
    if version < _FIRST:
        yield Unfit(f"KubeVirt {text} knows no network binding plugins", f"upgrade it to v{_FIRST} or later")
    elif version < _GATE_ENDS and not gate_enabled(kubevirt, _GATE):
        fix = f"add {_GATE} to spec.configuration.developerConfiguration.featureGates of {registry.kubevirt}"
        yield Unfit(f"the feature gate {_GATE} is off, which KubeVirt {text} needs", fix)

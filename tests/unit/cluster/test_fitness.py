"""A cluster that does not fit is refused with every reason and its fix."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from conformance.cluster.fitness import require_fit, usable_nodes
from conformance.cluster.provider import ProviderError
from conformance.kube.cluster import Listing
from conformance.kube.manifest import KUBEVIRT, NAD, NODE, VMI, Kind, Manifest
from conformance.kube.registry import Registry
from conformance.model import Binding, load_binding
from conformance.site import Site
from tests.unit.kube.apiserver import kubevirt_manifest

REF = KUBEVIRT.ref("kubevirt", "kubevirt")
NOWHERE = Site()


class Described:
    """What fitness asks of a connection, answered from memory."""

    def __init__(self, kubevirt: Manifest, served: set[Kind], nodes: tuple[Manifest, ...] = ()) -> None:
        self._objects = {KUBEVIRT: (kubevirt,), NODE: nodes}
        self._served = served

    def list(self, kind: Kind) -> Listing:
        return Listing(self._objects[kind], "1")

    def serves(self, kind: Kind) -> bool:
        return kind in self._served


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    (tmp_path / "b.yaml").write_text(
        "apiVersion: binding-conformance/v1alpha1\nkind: BindingDefinition\nmetadata: {name: mine}\nspec:\n"
        '  implementation: {organization: e, project: p, version: "1"}\n'
        "  registration: {domainAttachmentType: managedTap, migration: {}}\n  capabilities: [pod]\n"
    )
    return load_binding(tmp_path / "b.yaml")


def complaint(
    binding: Binding,
    version: str = "v1.9.0",
    phase: str = "Deployed",
    served: tuple[Kind, ...] = (VMI, NAD),
    nodes: tuple[str, ...] = ("n1", "n2"),
    site: Site = NOWHERE,
    **developer: Any,
) -> str:
    kubevirt = copy.deepcopy(kubevirt_manifest())
    kubevirt["status"] = {"phase": phase, "observedKubeVirtVersion": version}
    kubevirt["spec"]["configuration"]["developerConfiguration"] = developer
    cluster: Any = Described(kubevirt, set(served))
    try:
        require_fit(cluster, Registry(REF, REF), binding, nodes, site)
    except ProviderError as error:
        return str(error)
    return ""


def test_a_fitting_cluster(binding: Binding) -> None:
    assert complaint(binding) == ""
    assert complaint(binding, "v1.4.0", featureGates=["NetworkBindingPlugins"]) == ""


@pytest.mark.parametrize(
    ("unfit", "what", "fix"),
    [
        ({"phase": "Deploying"}, "KubeVirt is not ready: phase Deploying", "wait until"),
        ({"version": "v1.0.2"}, "KubeVirt v1.0.2 knows no network binding plugins", "upgrade it to v1.1"),
        ({"version": "v1.4.1"}, "the feature gate NetworkBindingPlugins is off", "featureGates of KubeVirt"),
        (
            {
                "version": "v1.4.1",
                "featureGates": ["NetworkBindingPlugins"],
                "disabledFeatureGates": ["NetworkBindingPlugins"],
            },
            "the feature gate NetworkBindingPlugins is off",
            "featureGates of KubeVirt",
        ),
        ({"served": (VMI,)}, "Multus is not (fully) installed", "install Multus"),
        ({"served": (NAD,)}, "does not serve VirtualMachineInstance", "install KubeVirt"),
        ({"nodes": ()}, "no node can run a virtual machine", "schedulable"),
        ({"nodes": ("n1",)}, "mine can be migrated, but only n1 can run", "uncordon one"),
    ],
)
def test_what_does_not_fit_is_named_with_its_fix(binding: Binding, unfit: dict[str, Any], what: str, fix: str) -> None:
    lines = complaint(binding, **unfit).splitlines()
    assert lines[0] == "this cluster does not fit mine:"
    assert what in lines[1]
    assert lines[2].startswith("    fix: ")
    assert fix in lines[2]


def test_every_reason_is_said(binding: Binding) -> None:
    assert complaint(binding, phase="Deleting", served=(), nodes=()).count("fix: ") == 4


def test_a_site_file_cannot_call_off_what_is_on(binding: Binding) -> None:
    site = Site(disabled_feature_gates=("HotplugNICs", "CPUManager"))
    assert complaint(binding, site=site) == ""
    assert complaint(binding, site=site, featureGates=["CPUManager"], disabledFeatureGates=["CPUManager"]) == ""
    lines = complaint(binding, site=site, featureGates=["CPUManager"]).splitlines()
    assert "gate CPUManager is kept off, and KubeVirt kubevirt/kubevirt lists it as on" in lines[1]
    assert lines[2] == "    fix: remove it from spec.disabledFeatureGates of the site file"


def node(name: str, *, ready: str = "True", unschedulable: bool = False, **labels: str) -> Manifest:
    named = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": named}, "spec": {"unschedulable": unschedulable}, "status": status}


def test_usable_nodes() -> None:
    nodes = (
        node("c", pool="virt", kubevirt_io__schedulable="true"),
        node("b", pool="virt"),
        node("not-ready", ready="Unknown", pool="virt"),
        node("cordoned", unschedulable=True, pool="virt"),
        node("no-kvm", kubevirt_io__schedulable="false", pool="virt"),
        node("other"),
    )
    cluster: Any = Described({}, set(), nodes)
    assert usable_nodes(cluster, {}) == ("b", "c", "other")
    assert usable_nodes(cluster, {"pool": "virt"}) == ("b", "c")

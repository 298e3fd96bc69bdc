"""Every object that the suite makes is one of the real KubeVirt, HCO and Multus, field by field.

`pytest tests/unit/kube/test_real_schemas.py --crds DIRECTORY`, a directory of their CustomResourceDefinitions.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml

from conformance.cluster.components import Plan, kubevirt_manifest
from conformance.kube.cluster import FIELD_MANAGER
from conformance.kube.manifest import HYPERCONVERGED, HYPERCONVERGED_V1, KUBEVIRT, Kind, Manifest, Ref
from conformance.kube.registry import path_of
from conformance.kube.vmi import NicSpec, Port, VmiSpec, migration_manifest
from conformance.model import CoreBinding, SkipReason, load_binding
from fixtures.images import LOCK
from tests.lacking import skip
from tests.unit.kube.realschemas import KEPT, RealSchemas, strict

BINDINGS = sorted(LOCK.parent.glob("bindings/*.yaml"))
GUIDE = Path(__file__).parents[2] / "data" / "guide"
NICS = (
    NicSpec("default", binding="b", mac="02:00:00:00:00:01", ports=(Port(80, "TCP", "web"),), state="down"),
    NicSpec("second", binding="b", network="ns/nad", model="e1000", pci_address="0000:07:00.0", acpi_index=7),
    NicSpec("third", core=CoreBinding.MASQUERADE, dhcp_options={"bootFileName": "f", "ntpServers": ["192.0.2.1"]}),
)
PROBE = {"tcpSocket": {"port": 22}, "initialDelaySeconds": 1}
VM = VmiSpec(
    name="vm",
    namespace="ns",
    nics=NICS,
    image="registry.example/disk:1",
    user_data="#cloud-config",
    network_data="version: 2",
    node="node-1",
    node_selector={"pool": "a"},
    labels={"a": "b"},
    annotations={"a": "b"},
    live_migrate_on_eviction=True,
    multiqueue=True,
    subdomain="sub",
    readiness_probe=PROBE,
    liveness_probe=PROBE,
)


@pytest.fixture(scope="module")
def schemas(request: pytest.FixtureRequest) -> RealSchemas:
    """The real definitions."""
    given = request.config.getoption("--crds", None)
    if not given:
        skip(SkipReason.NOT_SELECTED, "no CustomResourceDefinitions are here: name their directory with --crds")
    return RealSchemas(Path(given))


def registration(kind: Kind, name: str, value: Manifest) -> Manifest:
    """The registration of a binding in an object of that kind."""
    content: Manifest = {name: value}
    for step in reversed(path_of(kind)):
        content = {step: content}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": FIELD_MANAGER}, **content}


def made() -> dict[str, Manifest]:
    """Objects of the suite, by what they are."""
    found = {
        "VM": VM.vm(),
        "VMI": VM.vmi(),
        "migration": migration_manifest("vm", "ns"),
        "KubeVirt on kind": kubevirt_manifest(cast(Plan, SimpleNamespace(kubevirt="v1.4.0", emulation=True))),
        "migration to a node": migration_manifest("vm", "ns", node="node-2"),
    }
    for path in BINDINGS:
        binding = load_binding(path)
        for manifest in binding.manifests:
            found[f"{path.stem}: {Ref.of(manifest)}"] = manifest
        if binding.registration is not None:
            for kind in (KUBEVIRT, HYPERCONVERGED, HYPERCONVERGED_V1):
                value = binding.registration.to_dict()
                found[f"{path.stem} in {kind.api_version}"] = registration(kind, binding.name, value)
    for path in sorted(GUIDE.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            found[f"guide: {path.stem}"] = manifest
    return found


@pytest.mark.parametrize("what", made())
def test_an_object_of_the_suite_is_a_real_one(what: str, schemas: RealSchemas) -> None:
    manifest = made()[what]
    if "kubevirt" in manifest["apiVersion"] or "cncf" in manifest["apiVersion"]:
        assert schemas.known(manifest), f"no definition of {manifest['apiVersion']} {manifest['kind']} is given"
        assert schemas.problems(manifest) == []


def test_a_field_that_nobody_knows_is_a_problem(tmp_path: Path) -> None:
    part = {"type": "object", "properties": {"size": {"type": "integer"}, "free": {"type": "object", KEPT: True}}}
    schema = {"type": "object", "properties": {"spec": part}}
    names = {"group": "g", "names": {"kind": "K"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}
    definition = {"kind": "CustomResourceDefinition", "spec": names}
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(definition))
    schemas = RealSchemas(tmp_path)
    right = {"apiVersion": "g/v1", "kind": "K", "metadata": {}, "spec": {"size": 1, "free": {"any": 1}}}
    assert schemas.problems(right) == []
    assert schemas.problems({**right, "spec": {"size": "1"}}) == ["$.spec.size: '1' is not of type 'integer'"]
    (problem,) = schemas.problems({**right, "spec": {"sizes": 1}})
    assert "'sizes' was unexpected" in problem
    assert strict(schema)["properties"]["spec"]["additionalProperties"] is False

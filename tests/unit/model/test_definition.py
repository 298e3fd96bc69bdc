"""A sound definition, and what a binding tells of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest

from conformance.model import Capability, DefinitionError, bundled, resolve
from conformance.model.definition.artifacts import find_in_layer
from tests.unit.model.workbench import NAD, Workbench, change, core_definition, definition, mutant, registered, remove


def test_sound_definition_becomes_a_binding(bench: Workbench) -> None:
    binding = bench.load(definition())

    assert (binding.name, binding.label, binding.mutant, binding.warnings) == ("demo", "demo", None, ())
    assert binding.implementation.version == "1.2"
    assert registered(binding).to_dict() == {
        "networkAttachmentDefinition": "default/demo-nad",
        "sidecarImage": "registry.example/demo-sidecar:1.2",
        "migration": {"method": "link-refresh"},
        "computeResourceOverhead": {"requests": {"memory": "250Mi"}},
    }
    assert binding.manifests == (NAD,)
    assert binding.attachment == "sidecar"
    assert binding.nad is not None
    assert (binding.nad.namespace, binding.nad.name) == ("default", "demo-nad")


def test_artifacts_have_absolute_paths(bench: Workbench) -> None:
    artifacts = bench.load(definition()).artifacts

    image = artifacts.image("registry.example/demo-sidecar:1.2")
    assert image is not None
    assert image.layer == bench.directory / "layer"
    assert image.command == ("/sidecar", "--verbose")
    assert image.env == {"MODE": "demo"}
    assert [(plugin.name, plugin.path) for plugin in artifacts.cni_plugins] == [
        ("demo-cni", bench.directory / "demo-cni")
    ]
    assert artifacts.image("other") is None


def test_facts_are_typed(bench: Workbench) -> None:
    facts = bench.load(definition()).facts

    assert facts.guest_subnet == IPv4Network("10.0.2.0/24")
    assert facts.nameservers == (IPv4Address("10.0.2.3"), IPv6Address("fd00::3"))
    assert facts.ports == (80,)
    assert facts.gateway is None


def test_capabilities_are_declared_or_follow_from_the_registration(bench: Workbench) -> None:
    binding = bench.load(definition())

    assert Capability.SIDECAR not in binding.declared
    assert binding.capabilities == {
        Capability.POD,
        Capability.IPAM,
        Capability.NAT,
        Capability.MIGRATION,
        Capability.REFRESH,
        Capability.SIDECAR,
        Capability.CNI,
        Capability.OVERHEAD,
        Capability.PLUGIN,
    }


@pytest.mark.parametrize(
    ("core", "derived"),
    [
        ("masquerade", {Capability.ATTACH_CORE, Capability.MIGRATION}),
        ("bridge", {Capability.ATTACH_CORE, Capability.L2}),
        ("passtBinding", {Capability.MIGRATION}),
    ],
)
def test_a_core_binding_needs_no_registration(bench: Workbench, core: str, derived: set[Capability]) -> None:
    binding = bench.load(core_definition(core))

    assert (binding.registration, binding.nad, binding.attachment) == (None, None, "core")
    assert binding.core == core
    assert binding.capabilities == derived | {Capability.POD, Capability.IPAM}
    assert binding.warnings == ()


@pytest.mark.parametrize(("attachment", "capability"), [("tap", "attach:tap"), ("managedTap", "attach:managedTap")])
def test_an_attachment_gives_its_capability_and_l2(bench: Workbench, attachment: str, capability: str) -> None:
    data = change(definition(), "spec.registration.domainAttachmentType", attachment)

    binding = bench.load(data)

    assert binding.attachment == attachment
    assert {Capability(capability), Capability.L2} <= binding.capabilities


def test_the_registration_handed_out_is_a_copy(bench: Workbench) -> None:
    binding = bench.load(definition())
    registered(binding).to_dict()["sidecarImage"] = "other"

    assert registered(binding).to_dict()["sidecarImage"] == "registry.example/demo-sidecar:1.2"


def test_empty_migration_is_kept_and_migratable(bench: Workbench) -> None:
    data = change(definition(), "spec.registration.migration", {})
    change(data, "spec.capabilities", ["pod", "ipam", "nat"])

    registration = registered(bench.load(data))

    assert registration.migratable
    assert registration.to_dict()["migration"] == {}
    assert Capability.REFRESH not in registration.capabilities


class TestDigest:
    def test_does_not_depend_on_the_place(self, tmp_path: Path) -> None:
        here, there = Workbench.furnish(tmp_path / "a"), Workbench.furnish(tmp_path / "b" / "c")

        assert here.load(definition()).digest == there.load(definition()).digest

    @pytest.mark.parametrize("name", ["layer/sidecar", "layer/usr/share/more", "demo-cni"])
    def test_changes_with_every_file(self, bench: Workbench, name: str) -> None:
        before = bench.load(definition()).digest
        bench.executable(name).write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")

        assert bench.load(definition()).digest != before

    def test_changes_with_the_executable_bit(self, bench: Workbench) -> None:
        bench.text("layer/data", "x")
        before = bench.load(definition()).digest
        (bench.directory / "layer/data").chmod(0o755)

        assert bench.load(definition()).digest != before

    def test_changes_with_manifest_and_definition(self, bench: Workbench) -> None:
        digests = {bench.load(definition()).digest}
        digests.add(bench.load(change(definition(), "spec.facts.ports", [81])).digest)
        bench.text("manifests/nad.yaml", (bench.directory / "manifests/nad.yaml").read_text().replace("demo-cni", "x"))
        digests.add(bench.load(definition()).digest)

        assert len(digests) == 3

    def test_does_not_change_with_an_interpreter_cache(self, bench: Workbench) -> None:
        before = bench.load(definition()).digest
        bench.text("layer/__pycache__/x.pyc", "x")

        assert bench.load(definition()).digest == before


class TestFindInLayer:
    def test_finds_a_bare_name_in_path(self, bench: Workbench) -> None:
        expected = bench.executable("layer/usr/bin/tool")

        assert find_in_layer(bench.directory / "layer", "tool") == expected

    def test_follows_links_inside_the_container(self, bench: Workbench) -> None:
        layer = bench.directory / "layer"
        (layer / "relative").symlink_to("sidecar")
        (layer / "absolute").symlink_to("/sidecar")

        assert find_in_layer(layer, "/relative") == layer / "sidecar"
        assert find_in_layer(layer, "/absolute") == layer / "sidecar"

    @pytest.mark.parametrize("command", ["/nowhere", "nowhere", "usr/bin/tool", "/../../etc/hostname", "/loop"])
    def test_finds_nothing_else(self, bench: Workbench, command: str) -> None:
        (bench.directory / "layer" / "loop").symlink_to("/loop")

        assert find_in_layer(bench.directory / "layer", command) is None


class TestResolve:
    def test_a_name_is_looked_up_among_bindings_and_mutants(self, bench: Workbench) -> None:
        expected = bench.write("bindings/demo.yaml", definition())
        other = bench.write("mutants/demo-broken.yaml", mutant())

        assert resolve("demo", bench.directory) == expected
        assert resolve("demo-broken", bench.directory) == other
        assert list(bundled(bench.directory)) == ["demo", "demo-broken"]

    def test_a_path_is_taken_as_it_is(self, bench: Workbench) -> None:
        path = bench.write("x/mine.yaml", definition())

        assert resolve(str(path), bench.directory) == path

    def test_an_unknown_name_says_which_there_are(self, bench: Workbench) -> None:
        bench.write("bindings/demo.yaml", definition())
        with pytest.raises(DefinitionError) as caught:
            resolve("dmeo", bench.directory)

        (problem,) = caught.value.problems
        assert "did you mean demo?" in problem.fix

    @pytest.mark.parametrize("reference", ["./missing.yaml", "missing.yml", "/"])
    def test_a_missing_path_is_an_error(self, bench: Workbench, reference: str) -> None:
        with pytest.raises(DefinitionError):
            resolve(reference, bench.directory)


def test_a_definition_needs_neither_manifests_nor_artifacts(bench: Workbench) -> None:
    data = definition()
    for key in ("manifests", "artifacts", "facts"):
        remove(data, f"spec.{key}")
    change(data, "spec.registration", {"domainAttachmentType": "managedTap"})
    change(data, "spec.capabilities", ["pod", "ipam", "l2"])

    binding = bench.load(data)

    assert (binding.manifests, binding.warnings) == ((), ())

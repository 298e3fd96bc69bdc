"""Mutants: one fault applied to a sound definition."""

from __future__ import annotations

import json

import pytest

from conformance.model import (
    Capability,
    DefinitionError,
    JsonValue,
    Registration,
    load_binding,
    load_mutant,
    registration_problems,
)
from conformance.model.jsonvalue import get_text
from tests.unit.model.workbench import Workbench, change, definition, mutant, registered


def patch(path: str, value: JsonValue, /, *, op: str = "add", **target: str | bool) -> JsonValue:
    return {"target": {**(target or {"definition": True})}, "operations": [{"op": op, "path": path, "value": value}]}


NAD_TARGET = {"kind": "NetworkAttachmentDefinition", "name": "demo-nad"}


def test_a_mutant_is_its_base_with_the_fault(bench: Workbench) -> None:
    sound = bench.load(definition())
    binding = bench.load(mutant(), "mutant.yaml")

    assert binding.mutant is not None
    assert binding.mutant.caught_by == ("MIG-001",)
    assert binding.mutant.fault == "The registration lacks migration."
    assert (binding.name, binding.label) == ("demo", "demo-no-migration")
    assert not registered(binding).migratable
    assert binding.source == sound.source
    assert binding.digest != sound.digest


def test_a_declared_promise_stays_expected(bench: Workbench) -> None:
    bench.load(definition())

    assert Capability.MIGRATION in bench.load(mutant(), "mutant.yaml").capabilities


def test_a_mutant_may_register_unknown_values(bench: Workbench) -> None:
    bench.load(definition())
    binding = bench.load(mutant(patch("/spec/registration/domainAttachmentType", "Tap")), "mutant.yaml")

    (problem,) = registration_problems(registered(binding))

    assert (problem.field, problem.value) == ("domainAttachmentType", "Tap")
    assert registered(binding).to_dict()["domainAttachmentType"] == "Tap"


def test_a_manifest_is_patched_by_kind_and_name(bench: Workbench) -> None:
    bench.load(definition())
    binding = bench.load(mutant(patch("/metadata/labels", {"a": "b"}, **NAD_TARGET)), "mutant.yaml")

    assert binding.manifests[0]["metadata"] == {"name": "demo-nad", "namespace": "default", "labels": {"a": "b"}}


def test_json_inside_a_field_is_patched(bench: Workbench) -> None:
    bench.load(definition())
    fault = patch("/plugins/0/fault", "silent", **NAD_TARGET, jsonField="/spec/config")
    binding = bench.load(mutant(fault), "mutant.yaml")

    config = json.loads(get_text(binding.manifests[0], "spec", "config"))
    assert config["plugins"] == [{"type": "demo-cni", "fault": "silent"}]


def test_a_manifest_can_be_left_out(bench: Workbench) -> None:
    bench.load(definition())
    fault: JsonValue = {"target": {"definition": True}, "operations": [{"op": "remove", "path": "/spec/manifests/0"}]}

    assert bench.load(mutant(fault), "mutant.yaml").manifests == ()


@pytest.mark.parametrize(
    ("fault", "field", "text"),
    [
        (patch("/spec/nothing/x", 1), "spec.patches[0].operations[0]", "under /spec there is: artifacts"),
        (
            patch("/spec/manifests/7", "x", op="replace"),
            "spec.patches[0].operations[0]",
            "is a list of 1",
        ),
        (patch("/spec/registration/migration", {}, op="test"), "spec.patches[0].operations[0]", "there is"),
        (patch("spec", 1), "spec.patches[0].operations[0].path", "matches"),
        (
            patch("/x", 1, kind="DaemonSet", name="demo"),
            "spec.patches[0].target",
            "NetworkAttachmentDefinition default/",
        ),
        (patch("/x", 1, kind="DaemonSet"), "spec.patches[0].target", "kind and name"),
        (patch("/x", 1, definition=True, **NAD_TARGET), "spec.patches[0].target", "definition: true, or"),
        (patch("/x", 1, **NAD_TARGET, jsonField="/nope"), "spec.patches[0].target.jsonField", "correct the pointer"),
        (patch("/x", 1, **NAD_TARGET, jsonField="/kind"), "spec.patches[0].target.jsonField", "holds JSON"),
        (patch("/spec/registration/foo", 1), "spec.registration.foo", "known here"),
        (
            patch("/spec/artifacts/images/0/command/0", "/x", op="replace"),
            "spec.artifacts.images[0].command[0]",
            "layer",
        ),
        (patch("/kind", "NetworkAttachmentDefinition", **NAD_TARGET), "spec.patches", "another value"),
    ],
)
def test_patches_that_do_not_apply(bench: Workbench, fault: JsonValue, field: str, text: str) -> None:
    bench.load(definition())

    problems = bench.problems(mutant(fault), "mutant.yaml")

    assert [problem.field for problem in problems] == [field]
    assert text in problems[0].fix
    assert problems[0].file == bench.directory / "mutant.yaml"


def test_the_base_must_exist(bench: Workbench) -> None:
    (problem,) = bench.problems(mutant(), "mutant.yaml")

    assert (problem.field, problem.value) == ("spec.base", '"demo.yaml"')


def test_the_base_must_be_sound(bench: Workbench) -> None:
    base = bench.write("demo.yaml", change(definition(), "spec.registration.domainAttachmentType", "Tap"))

    (problem,) = bench.problems(mutant(), "mutant.yaml")

    assert problem.file == base


def test_the_base_must_be_no_mutant(bench: Workbench) -> None:
    bench.write("demo.yaml", mutant())

    problems = bench.problems(mutant(), "mutant.yaml")

    assert "kind" in {problem.field for problem in problems}


def test_caught_by_must_be_in_the_catalogue(bench: Workbench) -> None:
    bench.load(definition())
    path = bench.write("mutant.yaml", mutant(caughtBy=["MIG-01", "MIG-099", "MIG-001", "MIG-001"]))
    with pytest.raises(DefinitionError) as caught:
        load_binding(path, requirement_ids={"MIG-001", "MIG-009"})

    found = {problem.field: problem.fix for problem in caught.value.problems}
    assert "DHCP-002" in found["spec.caughtBy[0]"]
    assert "did you mean MIG-009?" in found["spec.caughtBy[1]"]
    assert found["spec.caughtBy[3]"] == "keep one"


def test_load_mutant_refuses_a_definition(bench: Workbench) -> None:
    with pytest.raises(DefinitionError, match="Mutant"):
        load_mutant(bench.write("demo.yaml", definition()))


def test_load_mutant_loads_a_mutant(bench: Workbench) -> None:
    bench.load(definition())

    assert load_mutant(bench.write("mutant.yaml", mutant())).label == "demo-no-migration"


def test_registration_of_a_cluster_is_read_leniently() -> None:
    registration = Registration.parse({"migration": {}, "domainAttachmentType": 5, "sidecarImage": "a:1"})

    assert registration.migratable
    assert registration.domain_attachment_type == ""
    assert registration.capabilities == {Capability.PLUGIN, Capability.MIGRATION, Capability.SIDECAR}

"""Which requirements concern which binding, and why the others do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import catalogue
from conformance.catalogue import NotDeclared, Selected, UnknownProfileError, UnknownRequirementError
from conformance.model import (
    Artifacts,
    Binding,
    Capability,
    CoreBinding,
    DefinitionError,
    Facts,
    Implementation,
    JsonObject,
    MutantInfo,
    Outcome,
    Registration,
    Skip,
    SkipReason,
    Verdict,
    VersionError,
)

MANAGED_TAP: JsonObject = {"domainAttachmentType": "managedTap", "migration": {"method": "link-refresh"}}
SIDECAR: JsonObject = {"sidecarImage": "a:1", "networkAttachmentDefinition": "default/a"}


def binding(
    registration: JsonObject | CoreBinding,
    *declared: str,
    unsupported: tuple[str, ...] = (),
    supports: tuple[str, ...] = (),
    caught_by: tuple[str, ...] = (),
) -> Binding:
    return Binding(
        name="demo",
        source=Path("demo.yaml"),
        implementation=Implementation("o", "p", "1"),
        registration=None if isinstance(registration, CoreBinding) else Registration.parse(registration),
        core=registration if isinstance(registration, CoreBinding) else None,
        declared=frozenset(map(Capability, declared)),
        facts=Facts(unsupported=unsupported, supports=supports),
        manifests=(),
        artifacts=Artifacts(),
        digest="0",
        mutant=MutantInfo("m", Path("m.yaml"), "fault", caught_by) if caught_by else None,
    )


def selected(selection: tuple[Selected, ...], id_: str) -> Selected:
    return next(item for item in selection if item.requirement.id == id_)


def test_the_selection_covers_the_catalogue_in_order() -> None:
    selection = catalogue.select(binding(MANAGED_TAP, "pod"), "v1.9.0")

    assert tuple(item.requirement.id for item in selection) == catalogue.load().ids


@pytest.mark.parametrize(
    ("registration", "declared", "id_", "applicable"),
    [
        (MANAGED_TAP, ["pod"], "REG-001", True),
        (MANAGED_TAP, ["pod"], "MIG-008", True),
        (MANAGED_TAP, ["pod"], "MIG-010", False),
        (MANAGED_TAP, ["pod"], "MIG-002", False),
        (MANAGED_TAP, ["pod"], "LINK-001", True),
        (MANAGED_TAP, ["pod"], "DHCP-013", True),
        (MANAGED_TAP, ["pod", "ipam"], "DHCP-013", False),
        (MANAGED_TAP, ["pod"], "MIG-014", True),
        (MANAGED_TAP, ["pod"], "HOOK-001", False),
        (SIDECAR, ["pod"], "HOOK-001", True),
        (SIDECAR, ["pod"], "HOOK-012", False),
        (SIDECAR, ["pod"], "LINK-001", False),
        (SIDECAR, ["pod", "link"], "LINK-001", True),
        (SIDECAR, ["pod"], "MIG-002", True),
        (SIDECAR, ["pod", "mig"], "MIG-002", False),
        (SIDECAR, ["pod", "mig"], "MIG-003", True),
        (SIDECAR, ["pod"], "MIG-014", False),
        (SIDECAR, ["sec"], "CONN-002", True),
        (SIDECAR, ["sec"], "CONN-001", False),
    ],
)
def test_capabilities_decide(registration: JsonObject, declared: list[str], id_: str, applicable: bool) -> None:
    item = selected(catalogue.select(binding(registration, *declared), "v1.9.0"), id_)

    assert item.applicable == applicable
    if not applicable:
        assert isinstance(item.obstacle, NotDeclared)
        assert item.outcome().verdict is Verdict.NOT_DECLARED


@pytest.mark.parametrize(
    ("version", "id_", "too_old"),
    [
        ("v1.9.0", "REG-005", False),
        ("v1.9.0-rc.1", "REG-005", False),
        ("v1.8.4", "REG-005", True),
        ("v1.4.0", "DHCP-010", True),
        ("v1.5.0", "DHCP-010", False),
        ("v1.9.0", "SEC-005", True),
        ("v1.10.0", "SEC-005", False),
    ],
)
def test_an_older_kubevirt_is_a_typed_skip(version: str, id_: str, too_old: bool) -> None:
    item = selected(catalogue.select(binding(MANAGED_TAP, "pod", "ipam"), version), id_)

    assert item.applicable != too_old
    if too_old:
        assert isinstance(item.obstacle, Skip)
        assert item.obstacle.reason is SkipReason.KUBEVIRT_TOO_OLD
        assert item.outcome() == Outcome(id_, Verdict.SKIPPED, message=item.obstacle.detail, skip=item.obstacle)


def reason(item: Selected) -> SkipReason | None:
    return item.obstacle.reason if isinstance(item.obstacle, Skip) else None


def test_an_operator_is_needed_for_its_requirement() -> None:
    demo = binding(MANAGED_TAP, "pod")

    assert reason(selected(catalogue.select(demo, "1.9"), "REG-016")) is SkipReason.OTHER_ENVIRONMENT
    assert selected(catalogue.select(demo, "1.9", environment={"hco"}), "REG-016").applicable


@pytest.mark.parametrize(
    ("version", "gate", "id_", "off"),
    [
        ("v1.3.1", "HotplugNICs", "HP-003", True),
        ("v1.4.0", "HotplugNICs", "HP-003", False),
        ("v1.8.2", "LiveUpdateNADRef", "HP-004", True),
        ("v1.9.0", "LiveUpdateNADRef", "HP-004", False),
        ("v1.10.0", "CPUManager", "POD-005", True),
        ("v1.9.0", "VSOCK", "POD-005", False),
    ],
)
def test_a_gate_that_is_kept_off_is_a_typed_skip_until_it_is_always_on(
    version: str, gate: str, id_: str, off: bool
) -> None:
    demo = binding({**SIDECAR, "migration": {}}, "pod", "sec", "mig")
    assert selected(catalogue.select(demo, version), id_).applicable

    item = selected(catalogue.select(demo, version, disabled_gates={gate: "lab.yaml"}), id_)

    assert item.applicable != off
    if off:
        wanted = f"needs the feature gate {gate}, which the site file lab.yaml names as kept off"
        assert item.obstacle == Skip(SkipReason.GATE_DISABLED, wanted)
        assert item.outcome().unproven, "it counts as not decided: a site file certifies nothing"


@pytest.mark.parametrize(
    ("profile", "inside", "outside"),
    [
        ("all", ["REG-001", "MIG-003"], []),
        ("core", ["REG-001", "LINK-001", "MTU-001"], ["MIG-003", "DHCP-001"]),
        ("extended", ["MIG-003", "DHCP-001", "LINK-001"], ["REG-001"]),
        ("mig", ["MIG-003", "MIG-005"], ["REG-001", "DHCP-001", "MIG-009"]),
        ("podip", ["DHCP-001", "OBS-003"], ["MIG-003"]),
    ],
)
def test_profiles(profile: str, inside: list[str], outside: list[str]) -> None:
    demo = binding(MANAGED_TAP, "pod", "ipam", "podip")

    selection = catalogue.select(demo, "v1.9.0", profile)

    assert all(selected(selection, id_).applicable for id_ in inside)
    assert [reason(selected(selection, id_)) for id_ in outside] == [SkipReason.OUTSIDE_PROFILE] * len(outside)


def test_ids_limit_the_run_but_not_the_facts() -> None:
    selection = catalogue.select(binding(MANAGED_TAP, "pod"), "v1.9.0", ids=["REG-001", "HOOK-001"])

    assert [item.requirement.id for item in selection if item.applicable] == ["REG-001"]
    assert isinstance(selected(selection, "HOOK-001").obstacle, NotDeclared)
    assert reason(selected(selection, "REG-002")) is SkipReason.NOT_SELECTED


def test_requirements_without_a_check_say_so() -> None:
    selection = catalogue.select(binding(MANAGED_TAP, "pod"), "v1.9.0", checked={"REG-001"})

    assert selected(selection, "REG-001").applicable
    assert reason(selected(selection, "REG-002")) is SkipReason.NO_CHECK


def test_a_vendor_opts_out_and_in() -> None:
    demo = binding(MANAGED_TAP, "pod", unsupported=("VM-004",), supports=("VM-012",))

    selection = catalogue.select(demo, "v1.9.0")

    assert isinstance(selected(selection, "VM-004").obstacle, NotDeclared)
    assert selected(selection, "VM-012").applicable
    assert isinstance(selected(selection, "CONN-016").obstacle, NotDeclared)


@pytest.mark.parametrize(
    ("demo", "field", "fix"),
    [
        (binding(MANAGED_TAP, "pod", unsupported=("REG-001",)), "spec.facts.unsupported", "possible are VM-004"),
        (binding(MANAGED_TAP, "pod", supports=("VM-004",)), "spec.facts.supports", "possible are SEC-007"),
        (binding(MANAGED_TAP, "pod", supports=("VM-099",)), "spec.facts.supports", "did you mean VM-009?"),
        (binding(MANAGED_TAP, "pod", caught_by=("MIGR-009",)), "spec.caughtBy", "did you mean MIG-009?"),
    ],
)
def test_ids_in_a_definition_must_mean_something(demo: Binding, field: str, fix: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        catalogue.select(demo, "v1.9.0")

    (problem,) = caught.value.problems
    assert problem.field == field
    assert fix in problem.fix


def test_wrong_arguments() -> None:
    demo = binding(MANAGED_TAP, "pod")

    with pytest.raises(UnknownProfileError, match="known are all, core, extended, devinfo"):
        catalogue.select(demo, "v1.9.0", "pod")
    with pytest.raises(UnknownRequirementError):
        catalogue.select(demo, "v1.9.0", ids=["X-001"])
    with pytest.raises(VersionError):
        catalogue.select(demo, "devel")


def test_an_applicable_requirement_has_no_outcome_yet() -> None:
    item = selected(catalogue.select(binding(MANAGED_TAP, "pod"), "v1.9.0"), "REG-001")

    with pytest.raises(ValueError, match="has to be checked"):
        item.outcome()


def test_a_core_binding_is_not_judged_by_what_is_about_registrations() -> None:
    selection = catalogue.select(binding(CoreBinding.MASQUERADE, "pod", "ipam"), "v1.9.0")

    applicable = {item.requirement.id for item in selection if item.applicable}
    assert {"REG-001", "VM-001", "VM-005", "DHCP-001", "MIG-003", "LINK-001"} <= applicable
    assert not {"REG-002", "REG-003", "REG-006", "REG-007", "REG-015", "HP-001", "HOOK-001", "POD-001"} & applicable
    obstacle = selected(selection, "REG-007").obstacle
    assert obstacle == NotDeclared("the requirement is about a registration, which a core binding has not")


def test_list_for_other_programs(tmp_path: Path) -> None:
    text = "kind: Mutant\nmetadata: {name: broken}\nspec: {caughtBy: [REG-001, VM-005]}\n"
    (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "other.yaml").write_text("kind: BindingDefinition\n", encoding="utf-8")
    (tmp_path / "noise.yaml").write_text("[", encoding="utf-8")

    objects = catalogue.as_json(catalogue.mutants_by_requirement(tmp_path))

    assert len(objects) == 143
    by_id = {str(item["id"]): item for item in objects}
    assert by_id["REG-001"]["mutants"] == ["broken"]
    assert by_id["REG-002"]["mutants"] == []
    assert by_id["VM-005"]["attachment"] == ["tap", "managedTap", "core"]
    assert by_id["REG-007"]["attachment"] == ["tap", "managedTap", "sidecar"]
    assert by_id["HOOK-012"]["attachment"] == ["tap", "managedTap"]
    assert by_id["MIG-002"]["capabilities"] == ["pod", "!mig"]
    assert {tuple(item) for item in objects} == {
        ("id", "level", "title", "capabilities", "attachment", "minKubeVirt", "source", "mutants")
    }

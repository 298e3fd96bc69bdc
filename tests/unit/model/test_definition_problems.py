"""Every way a definition can be wrong names file, field, value and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.model import DefinitionError, JsonValue, Severity, load_binding
from conformance.model.definition.yamlfile import read_document
from tests.unit.model.workbench import NAD, Workbench, change, core_definition, definition, remove

REGISTRATION = "spec.registration"


@pytest.mark.parametrize(
    ("path", "value", "field", "fix"),
    [
        ("metadata.name", "Demo_1", "metadata.name", "such as demo-1"),
        ("metadata.name", "x" * 64, "metadata.name", "at most 63"),
        ("apiVersion", "v1", "apiVersion", "binding-conformance/v1alpha1"),
        ("kind", "Bindingdefinition", "kind", "BindingDefinition"),
        ("spec.implementation.version", 1.1, "spec.implementation.version", "quotes"),
        ("spec.implementation.project", "", "spec.implementation.project", "write something"),
        ("spec.registratoin", {}, "spec.registratoin", "did you mean registration?"),
        (f"{REGISTRATION}.sidecarimage", "x", f"{REGISTRATION}.sidecarimage", "did you mean sidecarImage?"),
        (f"{REGISTRATION}.downwardApi", "x", f"{REGISTRATION}.downwardApi", "did you mean downwardAPI?"),
        (f"{REGISTRATION}.foo", "x", f"{REGISTRATION}.foo", "known here"),
        (f"{REGISTRATION}.domainAttachmentType", "Tap", f"{REGISTRATION}.domainAttachmentType", "write tap"),
        (f"{REGISTRATION}.domainAttachmentType", "bridge", f"{REGISTRATION}.domainAttachmentType", "tap or managedTap"),
        (f"{REGISTRATION}.migration.method", "linkRefresh", f"{REGISTRATION}.migration.method", "write link-refresh"),
        (f"{REGISTRATION}.migration", None, f"{REGISTRATION}.migration", "write {}"),
        (f"{REGISTRATION}.downwardAPI", "deviceinfo", f"{REGISTRATION}.downwardAPI", "write device-info"),
        (f"{REGISTRATION}.networkAttachmentDefinition", "a/b/c", f"{REGISTRATION}.networkAttachmentDefinition", "name"),
        (f"{REGISTRATION}.networkAttachmentDefinition", "/b", f"{REGISTRATION}.networkAttachmentDefinition", "name"),
        (f"{REGISTRATION}.networkAttachmentDefinition", "a/B", f"{REGISTRATION}.networkAttachmentDefinition", "name"),
        (f"{REGISTRATION}.sidecarImage", ":::", f"{REGISTRATION}.sidecarImage", "registry/repository:tag"),
        (
            f"{REGISTRATION}.computeResourceOverhead",
            {"requests": {"memory": "much"}},
            f"{REGISTRATION}.computeResourceOverhead.requests.memory",
            "250Mi",
        ),
        (
            f"{REGISTRATION}.computeResourceOverhead",
            {"limits": {"cpu": 1}},
            f"{REGISTRATION}.computeResourceOverhead.limits.cpu",
            "remove it",
        ),
        ("spec.capabilities.1", "ipm", "spec.capabilities[1]", "did you mean ipam?"),
        ("spec.capabilities", "pod", "spec.capabilities", "write a list"),
        ("spec.facts.guestSubnet", "10.0.2.3/24", "spec.facts.guestSubnet", "guest addresses"),
        ("spec.facts.nameservers.0", "dns", "spec.facts.nameservers[0]", "Nameservers"),
        ("spec.facts.ports.0", 70000, "spec.facts.ports[0]", "Ports"),
        ("spec.facts.dualStack", "yes", "spec.facts.dualStack", "true or false"),
        ("spec.facts.secondaryNetwork", "a/b/c", "spec.facts.secondaryNetwork", "namespace/name"),
        ("spec.facts.unsupported", ["VM4"], "spec.facts.unsupported[0]", "DHCP-002"),
        ("spec.manifests.0", "manifests/none.yaml", "spec.manifests[0]", "relative to the definition"),
        ("spec.manifests.0", "manifests", "spec.manifests[0]", "relative to the definition"),
        ("spec.artifacts.images.0.layer", "none", "spec.artifacts.images[0].layer", "directory"),
        (
            "spec.artifacts.images.0.rootfs",
            "layer",
            "spec.artifacts.images[0]",
            "exactly one of layer, rootfs, archive",
        ),
        ("spec.artifacts.images.0.layer", None, "spec.artifacts.images[0]", "exactly one of layer, rootfs, archive"),
        ("spec.artifacts.images.0.command", ["/none"], "spec.artifacts.images[0].command[0]", "absolute path"),
        ("spec.artifacts.images.0.command", [], "spec.artifacts.images[0].command", "command that the image starts"),
        ("spec.artifacts.cniPlugins.0.path", "none", "spec.artifacts.cniPlugins[0].path", "executable"),
        ("spec.artifacts.cniPlugins.0.name", "a/b", "spec.artifacts.cniPlugins[0].name", "matches"),
    ],
)
def test_one_wrong_value_is_one_problem(bench: Workbench, path: str, value: JsonValue, field: str, fix: str) -> None:
    problems = bench.problems(change(definition(), path, value))

    assert [problem.field for problem in problems] == [field]
    (problem,) = problems
    assert fix in problem.fix
    assert problem.file == bench.directory / "demo.yaml"
    assert problem.severity is Severity.ERROR
    assert problem.line > 0
    assert str(problem.file) in str(problem)
    assert problem.fix in str(problem)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("metadata.name", "metadata.name"),
        ("spec", "spec"),
        ("spec.registration", "spec.registration"),
        ("spec.implementation.version", "spec.implementation.version"),
    ],
)
def test_a_missing_field_is_named(bench: Workbench, path: str, field: str) -> None:
    problems = bench.problems(remove(definition(), path))

    assert problems[0].field == field
    assert "missing" in problems[0].message


@pytest.mark.parametrize(
    ("capabilities", "registration", "field", "fix"),
    [
        (["pod", "attach:tap"], {"sidecarImage": "a"}, "spec.capabilities[1]", "domainAttachmentType: tap"),
        (["pod", "ovh"], {"domainAttachmentType": "tap"}, "spec.capabilities[1]", "computeResourceOverhead"),
        (["sec", "podip"], {"domainAttachmentType": "tap"}, "spec.capabilities[1]", "add pod"),
        (["sec", "svc"], {"domainAttachmentType": "tap"}, "spec.capabilities[1]", "add pod"),
        (["pod", "sticky"], {"domainAttachmentType": "tap"}, "spec.capabilities[1]", "add migration"),
        (["ipam"], {"domainAttachmentType": "tap"}, "spec.capabilities", "pod, sec or both"),
        (["pod"], {"networkAttachmentDefinition": "a/b"}, "spec.registration", "domainAttachmentType or sidecarImage"),
    ],
)
def test_capabilities_that_contradict(
    bench: Workbench, capabilities: JsonValue, registration: JsonValue, field: str, fix: str
) -> None:
    data = change(change(definition(), "spec.capabilities", capabilities), "spec.registration", registration)

    problems = bench.problems(data)

    assert [problem.field for problem in problems] == [field]
    assert fix in problems[0].fix


@pytest.mark.parametrize(
    ("path", "value", "field", "fix"),
    [
        ("spec.core", "masquarade", "spec.core", "did you mean masquerade?"),
        ("spec.registration", {"domainAttachmentType": "tap"}, "spec.core", "keep one of core and registration"),
        ("spec.capabilities", ["pod", "sidecar"], "spec.capabilities[1]", "remove the capability"),
        ("spec.artifacts", {"cniPlugins": [{"name": "demo-cni", "path": "demo-cni"}]}, "spec.artifacts", "remove them"),
    ],
)
def test_a_core_binding_that_contradicts_itself(
    bench: Workbench, path: str, value: JsonValue, field: str, fix: str
) -> None:
    (problem,) = bench.problems(change(core_definition("bridge"), path, value))

    assert problem.field == field
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("capability", "message"),
    [("mig", "this core binding does not keep this promise"), ("attach:core", "this follows from the core binding")],
)
def test_a_core_binding_that_claims_too_much_loads_with_a_warning(
    bench: Workbench, capability: str, message: str
) -> None:
    claimed: JsonValue = ["pod", "ipam", capability]
    (warning,) = bench.load(change(core_definition("bridge"), "spec.capabilities", claimed)).warnings

    assert message in warning.message
    assert warning.fix.startswith("remove")


@pytest.mark.parametrize("subnet", [None, "10.99.0.0/17"])
def test_without_ipam_the_suite_needs_a_network_to_take_addresses_from(bench: Workbench, subnet: str | None) -> None:
    data = change(definition(), "spec.capabilities", ["pod"])
    data = change(data, "spec.facts.guestSubnet", subnet) if subnet else remove(data, "spec.facts.guestSubnet")

    (warning,) = [found for found in bench.load(data).warnings if found.field == "spec.facts.guestSubnet"]

    assert "without ipam" in warning.message
    assert "/16" in warning.fix


def test_without_ipam_a_network_that_is_large_enough_will_do(bench: Workbench) -> None:
    data = change(change(definition(), "spec.capabilities", ["pod"]), "spec.facts.guestSubnet", "10.99.0.0/16")

    assert [found for found in bench.load(data).warnings if found.field == "spec.facts.guestSubnet"] == []


def test_nat_with_ipam_needs_the_guest_network(bench: Workbench) -> None:
    (problem,) = bench.problems(remove(definition(), "spec.facts.guestSubnet"))

    assert problem.field == "spec.facts.guestSubnet"


@pytest.mark.parametrize(
    ("capabilities", "registration", "message"),
    [
        (
            ["pod", "link", "ipam"],
            {"sidecarImage": "registry.example/demo-sidecar:1.2"},
            "only with a domainAttachmentType",
        ),
        (["pod", "mig", "ipam"], {"domainAttachmentType": "tap"}, "does not keep this promise"),
        (["pod", "refresh", "ipam"], {"domainAttachmentType": "tap", "migration": {}}, "does not keep this promise"),
        (["pod", "attach:tap", "ipam"], {"domainAttachmentType": "tap"}, "follows from the registration"),
        (["pod", "nat", "podip"], {"domainAttachmentType": "tap"}, "opposite things"),
        (["pod", "pod", "ipam"], {"domainAttachmentType": "tap"}, "listed twice"),
        (["pod", "ipam"], {"domainAttachmentType": "tap", "sidecarImage": "other:1"}, "no artifact brings this image"),
        (["pod", "ipam"], {"domainAttachmentType": "tap", "networkAttachmentDefinition": "x/y"}, "no manifest defines"),
    ],
)
def test_doubtful_definitions_load_with_a_warning(
    bench: Workbench, capabilities: JsonValue, registration: JsonValue, message: str
) -> None:
    data = change(change(definition(), "spec.capabilities", capabilities), "spec.registration", registration)

    (warning,) = bench.load(data).warnings

    assert message in warning.message
    assert warning.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        ("kind", None, "kind", "has no kind"),
        ("apiVersion", "", "apiVersion", "has no apiVersion"),
        ("metadata.name", None, "metadata.name", "has no name"),
        ("metadata.name", "Demo_NAD", "metadata.name", "no DNS-1123 name"),
        ("metadata.namespace", "a.b", "metadata.namespace", "no namespace"),
        ("spec.config", "{", "spec.config", "not JSON"),
        ("spec.config", "[]", "spec.config", "no JSON object"),
        ("spec.config", "{}", "spec.config", "names no CNI plugin"),
        ("spec.config", '{"plugins": []}', "spec.config", "names no CNI plugin"),
        ("spec.config", {"type": "x"}, "spec.config", "not text"),
    ],
)
def test_a_wrong_manifest_names_its_own_file(
    bench: Workbench, path: str, value: JsonValue, field: str, message: str
) -> None:
    manifest = bench.write("manifests/nad.yaml", NAD)
    data = load_yaml(manifest)
    bench.write("manifests/nad.yaml", change(data, path, value))

    (problem,) = bench.problems(definition())

    assert (problem.file, problem.field) == (manifest, field)
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("a: b: c", "not YAML"),
        ("- a\n", "no Kubernetes object"),
        ("text", "no Kubernetes object"),
        ("a: 1\na: 2\n", "twice"),
        ("1: a\n", "no text for YAML"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: !!binary aGk=\n", "JSON cannot hold"),
        ("a: .nan\n", "JSON cannot hold"),
        ('a: "\\ud800"\n', "surrogate"),
        ('"\\ud800": a\n', "no text for YAML"),
    ],
)
def test_a_manifest_that_is_no_object(bench: Workbench, text: str, message: str) -> None:
    manifest = bench.text("manifests/nad.yaml", text)

    (problem,) = bench.problems(definition())

    assert problem.file == manifest
    assert message in problem.message
    assert problem.line > 0


def test_an_empty_manifest_is_a_problem_of_the_definition(bench: Workbench) -> None:
    bench.text("manifests/nad.yaml", "---\n---\n")

    (problem,) = bench.problems(definition())

    assert (problem.field, problem.value) == ("spec.manifests[0]", "manifests/nad.yaml")


def test_objects_that_are_there_twice(bench: Workbench) -> None:
    bench.write("manifests/again.yaml", NAD)

    (problem,) = bench.problems(change(definition(), "spec.manifests", ["manifests/nad.yaml", "manifests/again.yaml"]))

    assert "NetworkAttachmentDefinition default/demo-nad is there twice" in problem.message


@pytest.mark.parametrize("name", ["layer/sidecar", "demo-cni"])
def test_files_that_are_not_executable(bench: Workbench, name: str) -> None:
    path = bench.directory / name
    path.chmod(0o644)

    (problem,) = bench.problems(definition())

    assert "not executable" in problem.message
    assert problem.fix == f"chmod +x {path}"


def test_artifact_names_that_are_there_twice(bench: Workbench) -> None:
    data = definition()
    image: JsonValue = {"name": "registry.example/demo-sidecar:1.2", "layer": "layer", "command": ["/sidecar"]}
    plugin: JsonValue = {"name": "demo-cni", "path": "demo-cni"}
    change(data, "spec.artifacts", {"images": [image, image], "cniPlugins": [plugin, plugin]})

    fields = [problem.field for problem in bench.problems(data)]

    assert fields == ["spec.artifacts.images[1].name", "spec.artifacts.cniPlugins[1].name"]


def test_all_problems_are_reported_at_once(bench: Workbench) -> None:
    data = definition()
    change(data, "metadata.name", "Demo")
    change(data, "spec.capabilities", ["ipm", "pod", "attach:tap"])
    change(data, "spec.registration.domainAttachmentType", "Tap")
    change(data, "spec.manifests", [5, "manifests/none.yaml"])
    change(data, "spec.artifacts.images.0.command", ["/none"])

    found = {problem.field: problem.value for problem in bench.problems(data)}

    assert found == {
        "metadata.name": '"Demo"',
        "spec.capabilities[0]": '"ipm"',
        "spec.capabilities[2]": '"attach:tap"',
        "spec.manifests[0]": "5",
        "spec.manifests[1]": "manifests/none.yaml",
        "spec.registration.domainAttachmentType": "Tap",
        "spec.artifacts.images[0].command[0]": "/none",
    }


def test_a_problem_gives_the_line(bench: Workbench) -> None:
    path = bench.write("demo.yaml", change(definition(), "spec.facts.ports.0", 0))
    with pytest.raises(DefinitionError) as caught:
        load_binding(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[caught.value.problems[0].line - 1].strip() == "- 0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no YAML documents"),
        (b"a: 1\n---\nb: 2\n", "2 YAML documents"),
        (b"\xff\xfe", "not UTF-8"),
        (b"- 1", "no mapping"),
    ],
)
def test_files_that_hold_no_definition(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "demo.yaml"
    path.write_bytes(content)
    with pytest.raises(DefinitionError) as caught:
        load_binding(path)

    assert message in caught.value.problems[0].message


def test_a_definition_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="does not exist"):
        load_binding(tmp_path / "none.yaml")


def test_dates_stay_text(bench: Workbench) -> None:
    path = bench.write("demo.yaml", definition())
    path.write_text(path.read_text().replace("version: '1.2'", "version: 2026-11-01"), encoding="utf-8")

    assert load_binding(path).implementation.version == "2026-11-01"


def load_yaml(path: Path) -> dict[str, JsonValue]:
    data = read_document(path).data
    assert isinstance(data, dict)
    return data

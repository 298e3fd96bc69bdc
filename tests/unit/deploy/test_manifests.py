"""What is applied to a cluster or run by CI, held against the schemas of those who will read it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.access.manifests import REGISTRAR, RUNNER, access_manifests
from conformance.images.lock import Part
from conformance.kube.manifest import KUBEVIRT
from conformance.kube.registry import Registry
from conformance.model import Binding, Capability, load_binding
from conformance.site import load_site
from fixtures.images import lock

ROOT = Path(__file__).parents[3]
BUNDLED = sorted((ROOT / "fixtures" / "bindings").glob("*.yaml"))
DEPLOY = ROOT / "deploy"
PARTS = ("base", "merge", "reader")
KUBERNETES = "1.36"


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)


def applied(part: str) -> list[dict[str, Any]]:
    """The objects of a kustomization, in its order, before kustomize changes them."""
    listed = documents(DEPLOY / part / "kustomization.yaml")[0]["resources"]
    return [document for name in listed for document in documents(DEPLOY / part / name)]


@pytest.mark.parametrize("part", PARTS)
def test_manifests_are_what_kubernetes_takes(part: str, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(applied(part)))
    validator = Path(sys.executable).with_name("kubernetes-validate")
    done = run(str(validator), "--kubernetes-version", KUBERNETES, "--strict", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="environment-lacks: kubectl is not installed")
@pytest.mark.parametrize("part", PARTS)
def test_kustomize_builds_them(part: str) -> None:
    done = run("kubectl", "kustomize", str(DEPLOY / part))
    assert done.returncode == 0, done.stderr
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert {(d["kind"], d["metadata"]["name"]) for d in applied(part)} <= {
        (d["kind"], d["metadata"]["name"]) for d in built
    }
    maps = [d for d in built if d["kind"] == "ConfigMap"]
    assert [sorted(d["data"]) for d in maps] == ([["binding.yaml", "site.yaml"]] if part == "base" else [])


def jobs() -> dict[str, dict[str, Any]]:
    found = [*applied("base"), *applied("merge")]
    return {d["metadata"]["name"]: d for d in found if d["kind"] == "Job"}


def pods() -> dict[str, dict[str, Any]]:
    """The pods' specs, by the name of the Job or the pod."""
    bare = {d["metadata"]["name"]: d["spec"] for d in applied("reader") if d["kind"] == "Pod"}
    return {**bare, **{name: job["spec"]["template"]["spec"] for name, job in jobs().items()}}


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("name", ["register", "suite", "merge", "reader"])
def test_pods_run_as_an_ordinary_user_with_nothing_to_gain(name: str) -> None:
    pod = pods()[name]["securityContext"]
    assert pod["runAsNonRoot"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pods()[name]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["image"] == lock().image("localhost/kubevirt-binding-conformance/suite").name


@pytest.mark.parametrize("name", ["register", "suite", "merge"])
def test_what_is_written_has_a_place_beside_the_read_only_root(name: str) -> None:
    """Python wants a directory for temporary files, the suite one for its state."""
    writable = {volume["name"] for volume in pods()[name]["volumes"] if "emptyDir" in volume}
    for container in containers(pods()[name]):
        places = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in writable}
        assert places == {"/tmp", "/home/conformance"}, container["name"]


def test_the_shards_have_a_namespace_each_and_are_all_merged() -> None:
    suite = jobs()["suite"]["spec"]
    count = suite["completions"]
    arguments = containers(pods()["suite"])[0]["args"]
    assert f"--shard=job/{count}" in arguments
    assert suite["parallelism"] == suite["maxFailedIndexes"] == count
    site = load_site(DEPLOY / "base" / "site.yaml")
    assert len(site.namespaces) == count
    made = {d["metadata"]["name"] for d in applied("base") if d["kind"] == "Namespace"}
    assert set(site.namespaces) < made
    merged = containers(pods()["merge"])[-1]["args"]
    assert [word for word in merged if word.startswith("/reports/shard-")] == [
        f"/reports/shard-{index}" for index in range(count)
    ]


def test_the_definition_that_comes_with_it_is_sound() -> None:
    assert load_binding(DEPLOY / "base" / "binding.yaml").name == "managedtap"


def test_the_accounts_have_the_rights_that_a_run_asks_for() -> None:
    site = load_site(DEPLOY / "base" / "site.yaml")
    registry = Registry(KUBEVIRT.ref("kubevirt", "kubevirt"), KUBEVIRT.ref("kubevirt", "kubevirt"))
    wanted = list(access_manifests(registry, site.namespaces, home="binding-conformance", node_access=False))
    found = documents(DEPLOY / "base" / "access.yaml")
    assert found[:-3] == wanted


def test_beyond_that_the_runner_reads_what_is_installed_and_has_the_registrars_role() -> None:
    """The Job's account is the only one that it has: what checks register besides, it registers itself."""
    added = documents(DEPLOY / "base" / "access.yaml")[-3:]
    assert [(d["kind"], d["metadata"]["name"]) for d in added] == [
        ("ClusterRole", f"{RUNNER}-installed"),
        ("ClusterRoleBinding", f"{RUNNER}-installed"),
        ("RoleBinding", f"{RUNNER}-registers"),
    ]
    role, _, registers = added
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} <= {"get", "list", "watch"}
    registrar = documents(DEPLOY / "base" / "access.yaml")[2]
    assert (registrar["kind"], registrar["metadata"]["name"]) == ("Role", registers["roleRef"]["name"])
    assert registers["metadata"]["namespace"] == registrar["metadata"]["namespace"]
    rule = {"apiGroups": ["kubevirt.io"], "resources": ["kubevirts"], "verbs": ["get", "patch"]}
    assert registrar["rules"] == [{**rule, "resourceNames": ["kubevirt"]}], "one object, by its name"
    assert {d["roleRef"]["name"] for d in added if "roleRef" in d} == {
        f"{RUNNER}-installed",
        f"{REGISTRAR}:binding-conformance",
    }
    assert all([s["name"] for s in d["subjects"]] == [RUNNER] for d in added if "subjects" in d)


def test_the_image_is_built_from_the_locked_base_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    base = next(i for i in lock().images if i.part is Part.SUITE and i.tag == "3.13-slim-bookworm")
    assert f"ARG BASE={base.name}\n" in text
    assert "USER 10001:10001" in text
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    for source in [word for words in copied for word in words if not word.startswith("--")]:
        assert (ROOT / source).exists()
        assert any(f"!{'/'.join(source.split('/')[: depth + 1])}" in ignored for depth in range(3)), source


@pytest.mark.parametrize(("status", "file"), [(0, "sound"), (1, "broken")])
def test_the_sonobuoy_plugin_hands_over_its_results_however_it_ends(tmp_path: Path, status: int, file: str) -> None:
    results, programs = tmp_path / "results", tmp_path / "bin"
    programs.mkdir()
    fake = programs / "binding-conformance"
    fake.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/{file}\nexit {status}\n')
    fake.chmod(0o755)
    script = str(DEPLOY / "sonobuoy" / "sonobuoy-plugin")
    environment = {"PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin", "BINDING": "passt"}
    done = subprocess.run(
        ["/bin/sh", script], env={**environment, "SONOBUOY_RESULTS_DIR": str(results)}, check=False, timeout=30
    )
    assert done.returncode == status
    assert (results / "done").read_text() == f"{results}/junit.xml"
    assert (tmp_path / file).read_text() == f"run passt --cluster kubeconfig --report-dir {results} "


def test_the_sonobuoy_plugin_is_one() -> None:
    plugin = documents(DEPLOY / "sonobuoy" / "binding-conformance.yaml")[0]
    assert set(plugin) == {"sonobuoy-config", "spec"}
    assert plugin["sonobuoy-config"]["driver"] == "Job"
    assert plugin["sonobuoy-config"]["result-format"] == "junit"
    assert plugin["spec"]["command"] == ["/usr/local/bin/sonobuoy-plugin"]
    assert plugin["spec"]["image"] == lock().image("localhost/kubevirt-binding-conformance/suite").name


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.github-workflows", ".github/workflows/nightly.yaml"), ("vendor.github-actions", "action.yml")],
)
def test_workflow_and_action_are_what_github_takes(schema: str, path: str) -> None:
    done = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / path))
    assert done.returncode == 0, done.stdout + done.stderr


def fit_for_kind(binding: Binding) -> bool:
    """Whether a plain kind cluster has what the binding needs, and a sound one can come out conformant there."""
    scripts = bool(binding.artifacts.cni_plugins)
    plain = Capability.POD in binding.capabilities and Capability.STICKY not in binding.capabilities
    return plain and not scripts and binding.name != "slirp"


def test_the_nightly_matrix_names_bundled_bindings_and_locked_releases() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/nightly.yaml").read_text())["jobs"]["conformance"]
    matrix = job["strategy"]["matrix"]
    assert set(matrix["kubevirt"]) <= set(lock().releases(Part.KUBEVIRT))
    assert set(matrix["binding"]) == {path.stem for path in BUNDLED if fit_for_kind(load_binding(path))}
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert set(job["steps"][-1]["with"]) <= set(inputs)


def test_the_actions_script_is_sound_and_takes_no_input_into_its_text() -> None:
    for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]:
        script = step.get("run")
        if script is None:
            continue
        assert "${{ inputs" not in script, "an input belongs in env, where it cannot be code"
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False, timeout=30)
        assert checked.returncode == 0, checked.stderr

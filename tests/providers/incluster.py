"""The suite as Jobs in somebody's cluster: `deploy/`, applied by kubectl with an overlay as `deploy/README.md` says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import POD, Kind, Manifest, is_true
from conformance.kube.pods import pod_exec, pod_logs
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_for
from tests.providers.deployed import HOME
from tests.providers.somebody import BINDINGS, ROOT, Somebody

JOB: Final = Kind("batch/v1", "Job")
READER: Final = POD.ref("reader", HOME)


def definition_of(binding: str, directory: Path) -> list[Path]:
    """A bundled binding as a vendor with a registry has it: the definition, its manifests beside it, no artifacts."""
    definition = yaml.safe_load((BINDINGS / f"{binding}.yaml").read_text(encoding="utf-8"))
    definition["spec"].pop("artifacts", None)
    manifests = [Path(shutil.copy(BINDINGS / name, directory)) for name in definition["spec"].get("manifests", [])]
    definition["spec"]["manifests"] = [path.name for path in manifests]
    path = directory / "binding.yaml"
    path.write_text(yaml.safe_dump(definition))
    return [path, *manifests]


def overlay(directory: Path, binding: str, *requirements: str) -> Path:
    """A kustomization over `deploy/base` with this binding; the Job `suite` judges these requirements alone."""
    directory.mkdir()
    content = {
        "resources": [os.path.relpath(ROOT / "deploy" / "base", directory.resolve())],
        "configMapGenerator": [
            {
                "name": HOME,
                "namespace": HOME,
                "behavior": "merge",
                "files": [path.name for path in definition_of(binding, directory)],
            }
        ],
        "generatorOptions": {"disableNameSuffixHash": True},
        "patches": [{"target": {"kind": "Job", "name": "suite"}, "patch": yaml.safe_dump(_more(requirements))}],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return directory


def _more(requirements: tuple[str, ...]) -> list[dict[str, str]]:
    where = "/spec/template/spec/containers/0/args/-"
    return [{"op": "add", "path": where, "value": f"--requirement={requirement}"} for requirement in requirements]


def apply(owner: Somebody, kubectl: str, kustomization: Path) -> None:
    """`kubectl apply --kustomize`, as the administrator."""
    cache = f"--cache-dir={owner.directory / 'kubectl'}"
    line = [kubectl, f"--kubeconfig={owner.kubeconfig}", cache, "apply", f"--kustomize={kustomization}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def wait_complete(owner: Somebody, name: str, seconds: float) -> None:
    """Wait for a Job to end; it must be complete, and what its pods say is told where it is not."""
    assert is_true(wait_ended(owner, name, seconds), "Complete"), said(owner.cluster, name)


def wait_ended(owner: Somebody, name: str, seconds: float) -> Manifest:
    """Wait for a Job to end, however it does."""
    ref = JOB.ref(name, HOME)
    return wait_for(owner.cluster, ref, f"{ref} has ended", _ended, Deadline.patience(seconds)) or {}


def _ended(job: Manifest | None) -> bool:
    return job is not None and (is_true(job, "Complete") or is_true(job, "Failed"))


def said(cluster: Cluster, job: str) -> str:
    """The logs of a Job's pods."""
    return "\n".join(_logs(cluster, job))


def _logs(cluster: Cluster, job: str) -> Iterator[str]:
    for pod in cluster.list(POD, HOME, labels=f"job-name={job}").items:
        spec, name = pod["spec"], pod["metadata"]["name"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield f"--- {name} {container['name']}\n{pod_logs(cluster, HOME, name, container['name'])}"


def copied(cluster: Cluster, path: str, to: Path) -> Path:
    """A file of the claim `reports`, copied from the pod `reader`."""
    wait_for(cluster, READER, f"{READER} is ready", lambda pod: is_true(pod or {}, "Ready"), Deadline.patience(60))
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    done = pod_exec(cluster, HOME, READER.name, "reader", ["python3", "-c", code, path])
    assert done.exit_code == 0, done.stderr
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(done.stdout)
    return to

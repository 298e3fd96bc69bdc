"""A workshop: the fakes on PATH, a machine as a directory, a bundle, and an API server as what kind would make."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.cluster.kindhost import INOTIFY, Machine
from conformance.images.lock import ImagesLock, with_values
from conformance.kube.manifest import DAEMON_SET, Manifest
from fixtures.images import LOCK
from tests.kind.played import workload
from tests.unit.kube.apiserver import Server, api_server

ROOT = Path(__file__).parents[2]
FAKES = Path(__file__).parent / "fakes"
INFO = {
    "ServerVersion": "28.2.2",
    "DockerRootDir": "/",
    "MemTotal": 16 * 1024**3,
    "NCPU": 8,
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
}


@dataclass(frozen=True)
class Workshop:
    """``state`` is the fakes' directory, ``machine`` what the preflight looks at, ``bundle`` one of `images save`."""

    path: Path
    state: Path
    machine: Machine
    bundle: Path

    def calls(self) -> list[str]:
        path = self.state / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def fail(self, words: str, complaint: str) -> None:
        """The command that starts with these words ends with status 1 and this complaint."""
        (self.state / "fail").mkdir(exist_ok=True)
        (self.state / "fail" / words.replace(" ", "-")).write_text(complaint, encoding="utf-8")

    def engine_says(self, **info: object) -> None:
        (self.state / "docker-info.json").write_text(json.dumps({**INFO, **info}), encoding="utf-8")

    def podman_instead(self) -> None:
        """Docker goes, Podman comes, as root."""
        (self.path / "bin" / "docker").rename(self.path / "bin" / "podman")
        host = {"memTotal": 16 * 1024**3, "cpus": 8, "cgroupVersion": "v2", "security": {"rootless": False}}
        info = {"host": host, "store": {"graphRoot": "/"}, "version": {"Version": "5.6.0"}}
        (self.state / "podman-info.json").write_text(json.dumps(info), encoding="utf-8")

    def write(self, path: str, text: str) -> Path:
        """A file of the machine."""
        target = self.machine.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Everything as it should be: what a test wants to be wrong, it makes wrong."""
    return make_workshop(tmp_path, monkeypatch)


def make_workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop in a directory, on the PATH of this process."""
    programs, state = tmp_path / "bin", tmp_path / "fake"
    programs.mkdir()
    state.mkdir()
    for name, fake in (("kind", "kind"), ("docker", "docker")):
        shutil.copy(FAKES / fake, programs / name)
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES), str(ROOT)]))
    monkeypatch.setenv("FAKE_KIND", str(state))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    made = Workshop(tmp_path, state, Machine(tmp_path / "machine", lambda _: 100 * 1024**3), tmp_path / "bundle")
    made.engine_says()
    for name, least in INOTIFY.items():
        made.write(f"proc/sys/fs/inotify/{name}", f"{least}\n")
    for path in ("dev/kvm", "dev/net/tun", "dev/vhost-net"):
        made.write(path, "")
    made.write("proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n")
    made.write("proc/cpuinfo", "flags : fpu vmx\n")
    write_bundle(made.bundle, made.state)
    return made


@pytest.fixture
def server(tmp_path: Path, workshop: Workshop) -> Iterator[Server]:
    """The API server that the fake kind's cluster is: no node, no KubeVirt, no Multus."""
    with cluster_server(tmp_path, workshop) as running:
        yield running


@contextmanager
def cluster_server(directory: Path, workshop: Workshop) -> Iterator[Server]:
    """The API server behind a workshop's fake kind."""
    with api_server(directory / "api", crds=()) as running:
        shutil.copy(running.kubeconfig, workshop.state / "cluster.kubeconfig")
        yield running


def write_bundle(directory: Path, state: Path) -> None:
    """A bundle as `images save` writes it, with manifests of our own in the place of those of Multus and KubeVirt."""
    lock = ImagesLock(LOCK)
    (directory / "manifests").mkdir(parents=True)
    values: dict[tuple[str, ...], str] = {}
    for manifest in lock.manifests:
        content = yaml.safe_dump_all(stand_in(manifest.name, manifest.version)).encode()
        (directory / "manifests" / manifest.file).write_bytes(content)
        values["manifests", manifest.name, manifest.version] = hashlib.sha256(content).hexdigest()
    for image in lock.images:
        if not image.resolved:
            values["images", image.repository, image.tag] = "sha256:" + hashlib.sha256(image.name.encode()).hexdigest()
    (directory / "images.lock").write_text(with_values(LOCK.read_text(encoding="utf-8"), values), encoding="utf-8")
    (directory / "images.tar").write_text("an archive\n")
    (state / "archive").write_text("\n".join(image.name for image in lock.images if not image.built))


def stand_in(name: str, version: str) -> list[Manifest]:
    """The objects of a published manifest that the provider does something with, or waits for."""
    crds = resources.files("conformance.sandbox.kubevirt") / "crds"
    if name == "kubevirt-operator":
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubevirt"}}
        kinds = yaml.safe_load((crds / "kubevirt.yaml").read_text(encoding="utf-8"))["items"]
        image = f"quay.io/kubevirt/virt-operator:{version}"
        operator = workload("Deployment", "virt-operator", "kubevirt", image)
        operator["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "KUBEVIRT_VERSION", "value": version}]
        return [namespace, *kinds, operator]
    thick = name.endswith("thick")
    image = f"ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot{'-thick' if thick else ''}"
    daemon = workload(DAEMON_SET.kind, "kube-multus-ds", "kube-system", image)
    daemon["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "100m", "memory": "50Mi"}}
    return [*yaml.safe_load_all((crds / "multus.yaml").read_text(encoding="utf-8")), daemon]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def command(*arguments: str) -> Done:
    """The command line as a user types it, on the workshop's machine."""
    result = CliRunner().invoke(app, list(arguments))
    return Done(result.exit_code, result.stdout, result.stderr)

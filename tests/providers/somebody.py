"""A cluster that belongs to somebody: their binding, their VM, their policies, and what of it all may never change."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conformance.cluster.readiness import daemon_set_ready
from conformance.cluster.sandbox import SandboxProvider
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.lifecycle import wait_running
from conformance.kube.manifest import (
    CONFIG_MAP,
    CRD,
    DAEMON_SET,
    DEPLOYMENT,
    HYPERCONVERGED,
    KUBEVIRT,
    MIGRATION,
    NAD,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    SERVICE,
    VM,
    VMI,
    Kind,
    Manifest,
    Ref,
    dig,
)
from conformance.kube.registry import Registry, find_registry
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec
from conformance.kube.wait import wait_for, wait_until
from conformance.model import Verdict, load_binding
from conformance.report import read_report
from conformance.sandbox import daemon

ROOT = Path(__file__).parents[2]
BINDINGS = ROOT / "fixtures" / "bindings"
THEIRS = "theirs"
DISK = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.6.0"
RBAC = "rbac.authorization.k8s.io/v1"
WATCHED = (
    *(NAMESPACE, POD, NAD, CONFIG_MAP, SERVICE, DAEMON_SET, DEPLOYMENT, CRD, KUBEVIRT, HYPERCONVERGED, VM, VMI),
    *(MIGRATION, Kind("v1", "ServiceAccount"), NETWORK_POLICY),
    *(Kind("v1", "ResourceQuota"), *(Kind(RBAC, kind) for kind in ("Role", "RoleBinding"))),
    *(Kind(RBAC, kind) for kind in ("ClusterRole", "ClusterRoleBinding")),
)
"""Every kind whose objects are compared: all that the cluster serves of them."""

_WRITTEN_BY_THE_SERVER = ("resourceVersion", "managedFields", "generation")


@dataclass(frozen=True)
class Somebody:
    """Their cluster, seen by its administrator."""

    cluster: Cluster
    kubeconfig: Path
    directory: Path

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "conformance.cli", *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.directory / "state")}

    def call(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """One call of the command line."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run_options(self, binding: object, *requirements: str, kubeconfig: Path | None = None) -> list[object]:
        """The words of a run on this cluster, its report in a directory named after the binding."""
        chosen = [word for requirement in requirements for word in ("--requirement", requirement)]
        where = ["--cluster", "kubeconfig", "--kubeconfig", kubeconfig or self.kubeconfig]
        return ["run", binding, *where, *chosen, "--report-dir", self.report_dir(binding)]

    def report_dir(self, binding: object) -> Path:
        return self.directory / f"report-{Path(str(binding)).stem}"

    def verdicts(self, binding: object) -> dict[str, tuple[str, str]]:
        """Verdict and message by requirement, of those that were judged."""
        entries = read_report(self.report_dir(binding) / "report.yaml").entries
        left_out = (Verdict.SKIPPED, Verdict.NOT_DECLARED)
        return {e.id: (e.verdict.value, e.outcome.message) for e in entries if e.verdict not in left_out}

    def site(self, **spec: Any) -> Path:
        path = self.directory / "site.yaml"
        head = {"apiVersion": "binding-conformance/v1alpha1", "kind": "Site", "metadata": {"name": "somebody"}}
        path.write_text(yaml.safe_dump({**head, "spec": spec}))
        return path

    def apply_all(self, manifests: str) -> None:
        """What an administrator does with a file of manifests: apply them, and see that the DaemonSets are ready."""
        for manifest in yaml.safe_load_all(manifests):
            made = Ref.of(self.cluster.apply(manifest, manager="their-administrator"))
            if made.kind == DAEMON_SET:
                wait_for(self.cluster, made, f"{made} is ready", _ready, Deadline.patience(60))

    def snapshot(self) -> dict[str, Manifest]:
        """Everything on the cluster that somebody would miss, as it is stored."""
        found: dict[str, Manifest] = {}
        for kind in WATCHED:
            if self.cluster.serves(kind):
                found |= {f"{Ref.of(item)}": _stored(item) for item in self.cluster.list(kind).items}
        return found


def _ready(seen: Manifest | None) -> bool:
    return seen is not None and daemon_set_ready(seen)


def _stored(item: Manifest) -> Manifest:
    """An object, byte for byte; of what holds registrations what its owner wrote."""
    if Kind.of(item) not in (KUBEVIRT, HYPERCONVERGED):
        return item
    content = copy.deepcopy(item)
    for name in _WRITTEN_BY_THE_SERVER:
        content["metadata"].pop(name, None)
    return content


def changes(before: dict[str, Manifest], after: dict[str, Manifest]) -> list[str]:
    """What is not as it was, in words."""
    names = sorted(before.keys() | after.keys())
    gone = [f"{name} is gone" for name in names if name not in after]
    new = [f"{name} was left behind" for name in names if name not in before]
    return [*gone, *new, *(f"{n} was changed" for n in names if n in before and n in after and before[n] != after[n])]


@contextmanager
def somebody(
    directory: Path, bindings: Sequence[str | Path] = ("managedtap", "passt"), **options: str
) -> Iterator[Somebody]:
    """A sandbox with somebody's things on it, to be spoken to by nothing but a kubeconfig.

    Their registry has the images of the ``bindings`` (bundled ones by name, others by path), and their nodes the CNI
    plugins.
    """
    name = f"{directory.name[0]}{os.getpid()}"  # short: sockets are below; a letter each, as two may run side by side
    started = daemon.Options(state_dir=Path(f"/run/kbc-{name}"), options=options)
    with daemon.start(started, lambda _stage, _fraction: None) as running:
        provider = SandboxProvider(attach_to=started.state_dir)
        provider.up(lambda _: None)
        for binding in bindings:
            path = binding if isinstance(binding, Path) else BINDINGS / f"{binding}.yaml"
            provider.load_artifacts(load_binding(path))
        cluster = Cluster.connect(running.kubeconfig, cache_file=directory / "discovery")
        made = Somebody(cluster, running.kubeconfig, directory)
        _furnish(made)
        yield made
        cluster.close()


def _furnish(owner: Somebody) -> None:
    """Their binding, registered by themselves, a VM that uses it, and what else they have."""
    cluster = owner.cluster
    cluster.create(namespace_manifest(THEIRS, {}))
    register(cluster, find_registry(cluster), THEIRS, {"domainAttachmentType": "managedTap"})
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": THEIRS}})
    spec = VmiSpec("v", THEIRS, (NicSpec("default", THEIRS),), DISK, "#cloud-config\n", grace_seconds=0)
    cluster.create(spec.vmi())
    wait_running(cluster, VMI.ref("v", THEIRS), Deadline.patience(90))
    close(cluster, "deny-all", THEIRS)


def close(cluster: Cluster, name: str, namespace: str) -> None:
    """A policy by which nobody in the namespace talks to anybody."""
    head = {"apiVersion": NETWORK_POLICY.api_version, "kind": NETWORK_POLICY.kind}
    rules = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    cluster.create({**head, "metadata": {"name": name, "namespace": namespace}, "spec": rules})


def register(cluster: Cluster, registry: Registry, name: str, value: Manifest) -> None:
    """Register a binding as somebody else than the framework."""
    content: Manifest = {name: value}
    for step in reversed(registry.path):
        content = {step: content}
    ref = registry.ref
    metadata = {"name": ref.name, "namespace": ref.namespace}
    body = {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": metadata, **content}
    cluster.apply(body, manager="their-admin")
    path = ("spec", "configuration", "network", "binding", name)
    wait_until(
        f"{name} is registered",
        lambda: dig(cluster.get(registry.kubevirt), *path) is not None,
        Deadline.patience(20),
        every=0.1,
    )

"""A cluster of our own in containers: made by kind, with Multus and KubeVirt in it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from conformance.cluster.artifacts import load_into
from conformance.cluster.components import Components, Plan
from conformance.cluster.explain import explain
from conformance.cluster.kindcli import Kind
from conformance.cluster.kindconfig import MARK, KindOptions, configuration, fingerprint, write_certs
from conformance.cluster.kindhost import Machine, preflight
from conformance.cluster.provider import Mode, Progress, ProviderError
from conformance.cluster.rundir import start_time, state_home
from conformance.cluster.usedimages import CLIENT, CLIENT_TAG
from conformance.guest.image import DEFAULT
from conformance.host.engine import Engine
from conformance.host.finding import obstacles
from conformance.host.tool import ToolFailed, ToolMissing
from conformance.images.bundle import LOCK, archive_of
from conformance.images.lock import ImagesLock, LockedImage, Part, remarks
from conformance.images.manifests import Manifests
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import KUBEVIRT, NODE, dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.timeouts import Timeouts
from conformance.model import Binding


class KindProvider:
    """Implements :class:`~conformance.cluster.provider.Provider`: a cluster that kind makes, or ours that runs already.

    ``data`` is the directory that holds ``kind-config`` and ``fixtures``; ``logs`` is where the nodes' logs go when it
    fails; ``detach``: the cluster is meant to outlive this process, and `sweep` leaves it.
    """

    mode: Mode = "kind"

    def __init__(
        self, options: KindOptions, data: Path, logs: Path, *, detach: bool = False, machine: Machine | None = None
    ) -> None:
        """Raises LockError for a release that is not locked, Unresolved for digests that are required and missing."""
        lock = self._lock = ImagesLock(options.bundle / LOCK if options.bundle else data / "fixtures" / "images.lock")
        self._options = replace(
            options,
            kubevirt_version=lock.release(Part.KUBEVIRT, options.kubevirt_version),
            kubernetes_version=lock.release(Part.NODE, options.kubernetes_version),
        )
        self._data, self._logs, self._detach = data, logs, detach
        self._machine = machine or Machine()
        self._kind: Kind | None = None
        self._made = False
        directory = options.manifests or (options.bundle / "manifests" if options.bundle else None)
        self._manifests = Manifests(lock, directory)
        multus = [m for m in lock.manifests if m.name == f"multus-{options.multus}"]
        self._applied = (*multus, lock.manifest("kubevirt-operator", self._options.kubevirt_version))
        if options.require_digests:
            lock.require_resolved(self.images(), self._applied)

    @property
    def guest(self) -> str:
        return DEFAULT

    @property
    def owned(self) -> bool:
        """Whether :meth:`down` takes the whole cluster away."""
        return self._made

    @property
    def directory(self) -> Path:
        """Where the cluster's kubeconfig and our record of it are."""
        return state_home() / "kind" / self._options.name

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def images(self) -> tuple[LockedImage, ...]:
        """What the cluster and the suite on it need, of the lock."""
        parts = tuple(part for part in Part if part is not Part.UPSTREAM)
        releases = {"kubevirt": self._options.kubevirt_version, "kubernetes": self._options.kubernetes_version}
        return tuple(image for image in self._lock.needed(parts=parts, **releases) if not image.built)

    def up(self, progress: Progress) -> Path:
        """Use the cluster of ours that runs, or make one. Says what the machine lacks before it makes anything.

        When it fails, or is interrupted, the logs of the nodes are saved and the cluster it was making is removed.
        """
        lacking = obstacles(preflight(self._options, self._machine))
        if lacking:
            listed = "\n".join(f"  {finding}" for finding in lacking)
            raise ProviderError(f"this machine cannot run a kind cluster with KubeVirt:\n{listed}")
        for remark in remarks(self.images(), self._applied):
            progress(remark)
        done = False
        try:
            kind = self._kind = Kind(self._options.name, Engine.choose(self._options.engine))
            if kind.exists():
                self._attach(kind, progress)
            else:
                self._create(kind, progress)
            done = True
        except ProviderError:
            raise
        except (ToolFailed, KubeError, EnvironmentFault) as error:
            known = explain(error.output if isinstance(error, ToolFailed) else str(error))
            raise ProviderError(f"{error}" + (f"\n{known}" if known else "")) from error
        finally:
            if not done:
                self._abandon(progress)
        return self.kubeconfig

    def load_artifacts(self, binding: Binding) -> None:
        """The binding's images into the nodes, built from their layers where the engine has none, and its plugins."""
        try:
            load_into(self._running(), binding, self._lock)
        except ToolFailed as error:
            known = explain(error.output)
            raise ProviderError(f"{error}" + (f"\n{known}" if known else "")) from error

    def nodes(self) -> list[str]:
        cluster = Cluster.connect(self.kubeconfig)
        try:
            return list(cluster.nodes())
        finally:
            cluster.close()

    def export_logs(self, directory: Path) -> None:
        """The logs of the nodes and their pods, into ``directory``. Raises ToolFailed."""
        if self._kind is not None:
            self._kind.export_logs(directory)

    def down(self) -> None:
        """Remove the cluster that :meth:`up` made."""
        if self._kind is not None and self.owned:
            self._kind.delete(self.kubeconfig)
            self._forget()
        self._kind = None
        self._made = False

    def remove(self) -> bool:
        """Remove our cluster of that name, whoever made it; False when there is none. Raises ProviderError."""
        kind = Kind(self._options.name, Engine.choose(self._options.engine))
        if not kind.exists():
            self._forget()
            return False
        self._require_ours(kind)
        kind.delete(self.kubeconfig)
        self._forget()
        return True

    # -- making it ------------------------------------------------------------------------------------------------

    def _create(self, kind: Kind, progress: Progress) -> None:
        node = next(i for i in self.images() if i.part is Part.NODE)
        self.directory.mkdir(parents=True, exist_ok=True)
        certs = write_certs(self._options.mirrors, self.directory / "certs.d")
        # what a bundle brought in is known by its tag only; its digest was checked when it was made
        image = node.name if self._options.bundle else node.reference
        document = configuration(self._options, self._data / "kind-config", image, certs)
        config = self.directory / "config.yaml"
        config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        if self._options.bundle is not None and not kind.engine.has(node.name):
            progress("loading the bundle into the engine")
            kind.engine.load(archive_of(self._options.bundle))
        progress(f"kind: making cluster {kind.name} (Kubernetes {self._options.kubernetes_version})")
        self._made = True
        self._record()
        kind.create(config, self.kubeconfig, lambda line: progress(f"kind: {line}"))
        if self._options.bundle is not None:
            kind.load(archive_of(self._options.bundle), self._lock.images, progress)
        self._deploy(progress)

    def _attach(self, kind: Kind, progress: Progress) -> None:
        marks = self._require_ours(kind)
        wanted = fingerprint(self._options)
        if marks != {wanted}:
            raise ProviderError(
                f"kind cluster {kind.name} was made with other options; remove it with `binding-conformance down "
                "--cluster kind`, or give this one another name: --kind name=OTHER"
            )
        progress(f"using the kind cluster {kind.name} that runs")
        cluster = Cluster.connect(self.kubeconfig)
        try:
            found = cluster.find(KUBEVIRT.ref("kubevirt", "kubevirt")) if cluster.serves(KUBEVIRT) else None
        finally:
            cluster.close()
        if found is None or dig(found, "status", "phase") != "Deployed":
            self._deploy(progress)

    def _require_ours(self, kind: Kind) -> set[str]:
        """The marks on the nodes of a cluster that runs. Raises ProviderError when it is none of ours."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(kind.kubeconfig(), encoding="utf-8")
        cluster = Cluster.connect(self.kubeconfig)
        try:
            marks = {str(dig(n, "metadata", "labels", MARK, default="")) for n in cluster.list(NODE).items}
        finally:
            cluster.close()
        if "" in marks or not marks:
            raise ProviderError(
                f"a kind cluster {kind.name} runs that is not ours (its nodes lack the label {MARK}); it is left "
                "alone: give another name with --kind name=OTHER"
            )
        return marks

    def _deploy(self, progress: Progress) -> None:
        plan = Plan(
            kubevirt=self._options.kubevirt_version,
            multus=self._options.multus,
            emulation=not self._machine.kvm,
            probe_image=self._lock.image(CLIENT, CLIENT_TAG).reference,
        )
        cluster = Cluster.connect(self.kubeconfig)
        try:
            Components(cluster, plan, self._manifests, Timeouts(), progress).deploy()
        finally:
            cluster.close()

    def _abandon(self, progress: Progress) -> None:
        """Take away what could not be finished; its logs stay."""
        kind, self._kind = self._kind, None
        if kind is None or not self._made:
            return
        progress(f"kind: saving the logs of the nodes to {self._logs}, removing the cluster")
        with suppress(ToolFailed, ToolMissing):
            kind.export_logs(self._logs)
        with suppress(ToolFailed, ToolMissing):
            kind.delete(self.kubeconfig)
        self._forget()
        self._made = False

    def _running(self) -> Kind:
        if self._kind is None:
            raise ProviderError("the kind cluster is not up")
        return self._kind

    # -- whose it is ----------------------------------------------------------------------------------------------

    def _record(self) -> None:
        """Say whose the cluster is, so that it can be swept after a SIGKILL."""
        pid = os.getpid()
        owner = {"pid": pid, "started": start_time(pid), "keep": self._detach, "engine": self._running().engine.name}
        (self.directory / "owner.json").write_text(json.dumps(owner), encoding="utf-8")

    def _forget(self) -> None:
        for path in (self.directory / "owner.json", self.kubeconfig, self.directory / "config.yaml"):
            path.unlink(missing_ok=True)


def sweep_clusters() -> list[str]:
    """Remove kind clusters whose run was killed; their names. Those that `up` made stay."""
    removed = []
    for owner in sorted((state_home() / "kind").glob("*/owner.json")):
        found = json.loads(owner.read_text(encoding="utf-8"))
        if found["keep"] or start_time(found["pid"]) == found["started"] != 0:
            continue
        kind = Kind(owner.parent.name, Engine.choose(found["engine"]))
        if kind.exists():
            kind.delete(owner.parent / "kubeconfig")
            removed.append(f"kind cluster {kind.name}")
        owner.unlink()
    return removed

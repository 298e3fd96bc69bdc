"""What the controller process does before the first check and after the last: cluster and binding, and the undoing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from conformance.cluster.install import Installation, undo
from conformance.cluster.kubeconfig import KubeconfigProvider
from conformance.cluster.provider import Progress, Provider
from conformance.cluster.rundir import RunDirectory
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.registration import find_kubevirt
from conformance.kube.timeouts import Timeouts
from conformance.model import Binding
from conformance.plugin.paths import data_root
from conformance.plugin.run import Handoff
from conformance.plugin.settings import Settings

# how much slower a guest is without KVM; KubeVirt's CR says whether it is (useEmulation)
EMULATION_FACTOR = 2.0


def make_provider(settings: Settings) -> Provider:
    """The provider the user chose."""
    if settings.mode == "kubeconfig":
        return KubeconfigProvider(_kubeconfig(settings), settings.context)
    if settings.mode == "kind":
        from conformance.cluster.kind import KindProvider  # only where a cluster is to be made

        return KindProvider(settings.kind, data_root(), settings.report_dir / "cluster-logs")
    from conformance.cluster.sandbox import SandboxProvider  # only where a sandbox is wanted

    return SandboxProvider(
        settings.sandbox, detach=settings.keep_on_failure, kubevirt_version=settings.kubevirt_version
    )


def _kubeconfig(settings: Settings) -> Path:
    if settings.kubeconfig is not None:
        return settings.kubeconfig
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


class Provisioning:
    """The cluster with the binding on it. ``handoff`` is there after :meth:`up`."""

    def __init__(self, settings: Settings, binding: Binding, progress: Progress) -> None:
        self._settings, self._binding, self._progress = settings, binding, progress
        self._provider = make_provider(settings)
        self._directory: RunDirectory | None = None
        self._cluster: Cluster | None = None
        self._timeouts = Timeouts().scaled(settings.timeout_factor)
        self.handoff: Handoff | None = None

    def up(self) -> Handoff:
        """Cluster up, binding installed and registered. On an error the caller calls :meth:`down`."""
        kubeconfig = self._provider.up(self._progress)
        directory = self._directory = RunDirectory.create()
        directory.describe(self._settings.mode, kubeconfig, self._settings.context, self._binding.source)
        cluster = self._cluster = Cluster.connect(
            kubeconfig,
            self._settings.context,
            cache_file=directory.discovery_cache,
            ledger=directory.ledger("controller"),
        )
        emulated = dig(
            find_kubevirt(cluster), "spec", "configuration", "developerConfiguration", "useEmulation", default=False
        )
        factor = self._settings.timeout_factor * (EMULATION_FACTOR if emulated else 1.0)
        self._timeouts = Timeouts().scaled(factor)
        versions = cluster.versions()
        self.handoff = Handoff(
            directory=str(directory.path),
            kubeconfig=str(kubeconfig),
            context=self._settings.context,
            mode=self._settings.mode,
            binding=str(self._binding.mutant.source if self._binding.mutant else self._binding.source),
            report_dir=str(self._settings.report_dir),
            nodes=cluster.nodes(),
            kubernetes=versions.kubernetes,
            kubevirt=versions.kubevirt,
            timeout_factor=factor,
        )
        directory.keys()
        Installation(cluster, self._provider, self._binding, directory.id, self._timeouts).install(self._progress)
        return self.handoff

    def save_logs(self) -> str:
        """What the nodes can tell of a run that went wrong, into the report; a remark when they cannot be had."""
        directory = self._settings.report_dir / "cluster-logs"
        try:
            self._provider.export_logs(directory)
        except EnvironmentFault as error:
            return f"no logs of the nodes: {error}"
        return f"logs of the nodes: {directory}" if directory.is_dir() else ""

    def keep(self) -> str:
        """Leave everything as it is; the text says how to look at it and how to undo it."""
        kubeconfig = self.handoff.kubeconfig if self.handoff else "(none)"
        return f"kept for inspection: kubeconfig {kubeconfig}; end it with `binding-conformance sweep`"

    def down(self) -> list[str]:
        """Undo everything that was done; may be called at any point, and twice. Returns what could not be undone."""
        problems: list[str] = []
        if self._cluster is not None and self._directory is not None:
            self._progress("cleaning up")
            if not self._provider.owned:  # a cluster of our own takes everything with it
                problems = self._undo(self._cluster, self._directory)
            self._cluster.close()
            self._cluster = None
        with suppress(EnvironmentFault):
            self._provider.down()
        if self._directory is not None and not problems:
            self._directory.remove()
            self._directory = None
        return problems

    def _undo(self, cluster: Cluster, directory: RunDirectory) -> list[str]:
        try:
            undone = undo(cluster, directory.ledger("controller"), self._timeouts)
        except KubeError as error:
            return [str(error)]
        return [f"{record}: {why}" for record, why in undone.failed]

"""``binding-conformance sweep``: undo what killed runs left behind."""

from __future__ import annotations

from pathlib import Path

from conformance.access.logins import Connections
from conformance.cluster.install import undo
from conformance.cluster.kind import sweep_clusters
from conformance.cluster.provider import Progress
from conformance.cluster.rundir import RunDirectory, RunInfo, all_runs, is_alive
from conformance.kube.errors import KubeError
from conformance.kube.timeouts import Timeouts


def sweep_all(progress: Progress) -> list[str]:
    """Every run whose process is gone: undone and forgotten. Returns what could not be undone, in words."""
    from conformance.sandbox.daemon import sweep

    problems: list[str] = []
    for directory in all_runs():
        info = directory.info()
        if info is not None and is_alive(info):
            progress(f"run {directory.id} is under way (process {info.pid}): left alone")
            continue
        problems += _sweep_run(directory, info, progress)
    for removed in (*sweep(), *sweep_clusters()):
        progress(f"removed {removed}")
    return problems


def forget_runs(kubeconfig: Path) -> None:
    """Forget the runs that were kept on a cluster which is gone, and took everything of theirs with it."""
    for directory in all_runs():
        info = directory.info()
        if info is not None and Path(info.kubeconfig) == kubeconfig and not is_alive(info):
            directory.remove()


def _sweep_run(directory: RunDirectory, info: RunInfo | None, progress: Progress) -> list[str]:
    open_records = directory.ledger("sweep").open_records()
    if info is None or not open_records or (info.mode != "kubeconfig" and not Path(info.kubeconfig).exists()):
        directory.remove()  # it made nothing, or its cluster took everything with it
        return []
    progress(f"run {directory.id} on {info.kubeconfig}: undoing {len(open_records)} things")
    connections = Connections(info.logins(), directory.ledger)
    try:
        connections.installer.versions()
        undone = undo(lambda record: connections.of(record, info.namespaces), directory.ledger("sweep"), Timeouts())
    except KubeError as error:
        if info.mode != "kubeconfig":
            directory.remove()
            return []
        return [f"run {directory.id}: {error}"]
    finally:
        connections.close()
    if not undone.failed:
        directory.remove()
    return [f"run {directory.id}: {record}: {why}" for record, why in undone.failed]

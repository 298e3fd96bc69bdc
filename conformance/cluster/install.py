"""A binding on a cluster: artifacts loaded, manifests applied and ready, the name registered; and all of it undone."""

from __future__ import annotations

from conformance.cluster.provider import Progress, Provider
from conformance.cluster.readiness import READY
from conformance.cluster.rundir import RUN_LABEL
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError, WaitError
from conformance.kube.ledger import Ledger, Undone, undo_all
from conformance.kube.manifest import CRD, NAMESPACE, POD, Kind, Manifest, Ref, dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.pods import pod_logs
from conformance.kube.registration import UNDO, Registration, undo_registration
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.wait import wait_for, wait_gone
from conformance.model import Binding


class InstallationFailed(EnvironmentFault):
    """The binding's own manifests do not come up: nothing can be said about its behaviour. Names object and cause."""


class Installation:
    """One binding on one cluster. ``cluster`` must have a ledger: what is installed is undone by it."""

    def __init__(self, cluster: Cluster, provider: Provider, binding: Binding, run_id: str, timeouts: Timeouts) -> None:
        self._cluster, self._provider, self._binding = cluster, provider, binding
        self._run_id, self._timeouts = run_id, timeouts

    def install(self, progress: Progress) -> None:
        """Load the artifacts, apply the manifests in order and wait for them, then register the name."""
        progress("loading the binding's artifacts")
        self._provider.load_artifacts(self._binding)
        for manifest in self._binding.manifests:
            self._apply(manifest, progress)
        for manifest in self._binding.manifests:
            self._wait_ready(Ref.of(manifest), progress)
        progress(f"registering {self._binding.name}")
        Registration(self._cluster, self._binding.name).apply(self._binding.registration.to_dict())

    def _apply(self, manifest: Manifest, progress: Progress) -> None:
        labelled = dict(manifest)
        labels = {**dig(manifest, "metadata", "labels", default={}), RUN_LABEL: self._run_id}
        labelled["metadata"] = {**manifest["metadata"], "labels": labels}
        progress(f"applying {Ref.of(labelled)}")
        try:
            self._cluster.apply(labelled)
        except KubeError as error:
            raise InstallationFailed(f"manifest of {self._binding.source}: {error}") from error
        if Kind.of(manifest) == CRD:
            self._wait_ready(Ref.of(manifest), progress)

    def _wait_ready(self, ref: Ref, progress: Progress) -> None:
        ready = READY.get(ref.kind)
        if ready is None:
            return
        progress(f"waiting for {ref}")
        try:
            wait_for(
                self._cluster,
                ref,
                f"{ref} is ready",
                lambda seen: seen is not None and ready(seen),
                self._timeouts.daemonset_ready.start(),
            )
        except WaitError as error:
            raise InstallationFailed(f"{error}\n{self._complaints(ref)}") from error

    def _complaints(self, ref: Ref) -> str:
        """Why its pods are not ready: container states and the last lines of their logs."""
        lines: list[str] = []
        owner = self._cluster.find(ref) or {}
        labels = ",".join(f"{k}={v}" for k, v in dig(owner, "spec", "selector", "matchLabels", default={}).items())
        for pod in self._cluster.list(POD, ref.namespace, labels=labels or None).items:
            for status in dig(pod, "status", "containerStatuses", default=[]):
                if status.get("ready"):
                    continue
                name = dig(pod, "metadata", "name")
                lines.append(f"  pod {name} on {dig(pod, 'spec', 'nodeName')}: {status['name']} {status.get('state')}")
                try:
                    lines.append(pod_logs(self._cluster, ref.namespace, name, status["name"], tail=10))
                except KubeError as error:
                    lines.append(f"  (no log: {error})")
        return "\n".join(lines)


def undo(cluster: Cluster, ledger: Ledger, timeouts: Timeouts) -> Undone:
    """Undo everything in a ledger, in reverse order, following what was deleted until it is gone."""
    deadline = timeouts.deletion.start()

    def gone(ref: Ref) -> None:
        left = Deadline.patience(max(5.0, deadline.remaining()))
        if ref.uid or ref.kind == NAMESPACE:
            wait_gone(cluster, ref, left)

    return undo_all(ledger, cluster, {UNDO: undo_registration}, gone)

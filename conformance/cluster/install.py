"""A binding on a cluster: artifacts loaded, manifests applied and ready, the name registered; and all of it undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.cluster.likeness import difference
from conformance.cluster.provider import Progress, Provider
from conformance.cluster.readiness import READY
from conformance.cluster.rundir import RUN_LABEL
from conformance.kube.cluster import Cluster
from conformance.kube.errors import Forbidden, KubeError, WaitError
from conformance.kube.ledger import Ledger, Record
from conformance.kube.manifest import CRD, NAMESPACE, POD, Kind, Manifest, Ref, dig
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.pods import pod_logs
from conformance.kube.registration import UNDO, Registration, undo_registration
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.undoing import Undone, undo_all
from conformance.kube.wait import wait_for, wait_gone, wait_until
from conformance.model import Binding

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


class InstallationFailed(EnvironmentFault):
    """The binding's own manifests do not come up: nothing can be said about its behaviour. Names object and cause."""


class Installation:
    """One binding on one cluster. ``cluster`` must have a ledger: what is installed is undone by it.

    ``installed`` says that an administrator has applied the manifests: they are only waited for. ``registered`` says
    the same of the registration: it is waited for, must be the definition's, and stays.
    """

    def __init__(
        self,
        cluster: Cluster,
        provider: Provider,
        binding: Binding,
        run_id: str,
        timeouts: Timeouts,
        *,
        installed: bool = False,
        registered: bool = False,
    ) -> None:
        self._cluster, self._provider, self._binding = cluster, provider, binding
        self._run_id, self._timeouts = run_id, timeouts
        self._installed, self._registered = installed, registered

    def install(self, progress: Progress) -> None:
        """Load the artifacts, apply the manifests in order and wait for them, on every node where they have pods."""
        progress("loading the binding's artifacts")
        self._provider.load_artifacts(self._binding)
        for manifest in () if self._installed else self._binding.manifests:
            self._apply(manifest, progress)
        for manifest in self._binding.manifests:
            try:
                self._wait_ready(Ref.of(manifest), progress)
            except Forbidden:
                if not self._installed:
                    raise
                progress(f"{Ref.of(manifest)} is not ours to look at: taken to be ready")

    def register(self, registrar: Cluster, progress: Progress) -> None:
        """Register the name; ``registrar`` must have a ledger. One of KubeVirt's own bindings is registered nowhere."""
        if self._binding.registration is not None and not self._registered:
            progress(f"registering {self._binding.name}")
            registration = Registration(registrar, self._binding.name)
            registration.apply(self._binding.registration.to_dict())
            self._await_observation(registrar, registration.registry.kubevirt, progress)
        elif self._binding.registration is not None:
            self._await_registration(registrar, self._binding.registration.to_dict(), progress)

    def _await_observation(self, registrar: Cluster, kubevirt: Ref, progress: Progress) -> None:
        """Until virt-operator says that it has seen the KubeVirt CR as it is now.

        virt-controller and virt-handler watch the same object and say nothing of it; virt-operator is slower than they
        (seen on 1.9: 9 to 18 s). Where the CR says nothing of the kind there is nothing to wait for.
        """
        found = registrar.get(kubevirt)
        if dig(found, "status", "observedGeneration") is None:
            return
        generation = dig(found, "metadata", "generation", default=0)
        if _observed(found) >= generation:
            return
        progress(f"waiting for virt-operator to see generation {generation} of {kubevirt}")
        try:
            wait_until(
                f"virt-operator sees generation {generation} of {kubevirt} (status.observedGeneration)",
                lambda: _observed(registrar.get(kubevirt)),
                self._timeouts.component_ready.start(),
                until=lambda seen: seen >= generation,
            )
        except WaitError as error:
            raise InstallationFailed(
                f"{error}\n    fix: see that virt-operator runs, and what its log says of {kubevirt}"
            ) from error

    def _await_registration(self, registrar: Cluster, wanted: Mapping[str, object], progress: Progress) -> None:
        name = self._binding.name
        progress(f"waiting for the registration of {name}")
        registration = Registration(registrar, name)
        try:
            wait_until(
                f"{name} is registered as {dict(wanted)}",
                registration.current,
                self._timeouts.component_ready.start(),
                until=lambda seen: seen == wanted,
            )
        except WaitError as error:
            raise InstallationFailed(
                f"{error}\n    fix: `binding-conformance register {self._binding.source}` with the registrar's rights"
            ) from error

    def _apply(self, manifest: Manifest, progress: Progress) -> None:
        labelled = dict(manifest)
        labels = {**dig(manifest, "metadata", "labels", default={}), RUN_LABEL: self._run_id}
        labelled["metadata"] = {**manifest["metadata"], "labels": labels}
        progress(f"applying {Ref.of(labelled)}")
        try:
            if not self._is_there(manifest):
                self._cluster.apply(labelled)
        except KubeError as error:
            raise InstallationFailed(f"manifest of {self._binding.source}: {error}") from error
        if Kind.of(manifest) == CRD:
            self._wait_ready(Ref.of(manifest), progress)

    def _is_there(self, manifest: Manifest) -> bool:
        """Whether somebody has this very object already. Raises InstallationFailed when theirs is another.

        One that another run has made is refused even if it is the same: that run takes it away at its end.
        """
        ref = Ref.of(manifest)
        found = self._cluster.find(ref) or {}
        run = dig(found, "metadata", "labels", RUN_LABEL)
        if not found or run == self._run_id:
            return False
        if run:
            raise InstallationFailed(
                f"{ref} belongs to run {run}, which removes it at its end\n"
                "    fix: wait for that or, if it was killed, `binding-conformance sweep`; for shards at the same time "
                f"apply the manifests of {self._binding.source} beforehand: they stay then, and all of them use them"
            )
        if wrong := difference(found, manifest):
            raise InstallationFailed(
                f"{ref} is there already, is not ours to change, and differs from the definition's at {wrong}: "
                "remove it, or give the definition's another name"
            )
        return True

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
        """Why its pods are not ready: container states, images that cannot be had, the last lines of their logs."""
        lines: list[str] = []
        owner = self._cluster.find(ref) or {}
        labels = ",".join(f"{k}={v}" for k, v in dig(owner, "spec", "selector", "matchLabels", default={}).items())
        for pod in self._cluster.list(POD, ref.namespace, labels=labels or None).items:
            statuses = [
                *dig(pod, "status", "initContainerStatuses", default=[]),
                *dig(pod, "status", "containerStatuses", default=[]),
            ]
            for status in statuses:
                if not status.get("ready"):
                    lines += self._complaint(pod, status)
        return "\n".join(lines)

    def _complaint(self, pod: Manifest, status: Manifest) -> list[str]:
        name, namespace = dig(pod, "metadata", "name"), dig(pod, "metadata", "namespace")
        where = f"  pod {name} on {dig(pod, 'spec', 'nodeName', default='no node')}: container {status['name']}"
        waiting = dig(status, "state", "waiting", default={})
        if waiting.get("reason") in _NO_IMAGE:
            image = f"image {status.get('image')} cannot be had: {waiting['reason']} {waiting.get('message', '')}"
            return [f"{where}: {image}".rstrip(), "    fix: make that registry reachable from the node, or mirror it"]
        lines = [f"{where}: {status.get('state')}"]
        try:
            lines.append(pod_logs(self._cluster, namespace, name, status["name"], tail=10))
        except KubeError as error:
            lines.append(f"  (no log: {error})")
        return lines


def _observed(kubevirt: Manifest) -> int:
    return int(dig(kubevirt, "status", "observedGeneration", default=0))


def undo(by: Callable[[Record], Cluster], ledger: Ledger, timeouts: Timeouts) -> Undone:
    """Undo everything in a ledger, in reverse order, following what was deleted until it is gone.

    ``by(record)`` is the connection that undoes it.
    """
    deadline = timeouts.deletion.start()

    def gone(record: Record) -> None:
        left = Deadline.patience(max(5.0, deadline.remaining()))
        if record.ref.uid or record.ref.kind == NAMESPACE:
            wait_gone(by(record), record.ref, left)

    return undo_all(ledger, by, {UNDO: undo_registration}, gone)

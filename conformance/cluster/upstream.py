"""KubeVirt's own conformance suite, run in the cluster with the binding as the VMs' primary network.

Its image writes ``junit.xml`` and then a file ``done`` into its results directory, as Sonobuoy wants it; a second
container of the pod keeps that directory readable after it has ended. Source: KubeVirt's tests/conformance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from conformance.cluster.ginkgo import NotJUnit, parse_junit
from conformance.cluster.provider import Progress
from conformance.cluster.rundir import RUN_LABEL
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.errors import KubeError, WaitError
from conformance.kube.manifest import POD, Manifest, dig
from conformance.kube.pods import pod_exec, pod_logs
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.model import UpstreamSuite, Version

SINCE: Final = Version(1, 9)
"""From this KubeVirt release on the suite takes a primary binding plugin (PR 18021)."""

# its cases that are about masquerade alone, as the commit that brought the switch lists them
LABELS: Final = "(conformance) && (sig-network) && !(interface-ports) && !(network-cidr) && !(IPv6)"
HOURS: Final = 2.0

_RESULTS = "/tmp/sonobuoy/results"
_POD, _SUITE, _KEEPER = "upstream", "conformance", "keeper"


@dataclass
class UpstreamRun:
    """One run of that suite. ``cluster`` must have a ledger and an administrator's rights: the suite needs them."""

    cluster: Cluster
    run_id: str
    binding: str
    image: str
    keeper_image: str
    kubevirt: str
    progress: Progress
    hours: float = HOURS

    def run(self) -> UpstreamSuite:
        """Run it to its end. What keeps it from a result is in the result, never raised: it is no verdict of ours."""
        if not self.kubevirt or Version.parse(self.kubevirt) < SINCE:
            return self._without(f"KubeVirt {self.kubevirt or '(unknown)'}: it takes a binding only from {SINCE} on")
        started = time.monotonic()
        try:
            for manifest in self.manifests():
                self.cluster.create(manifest)
            self.progress("running KubeVirt's own conformance suite (this takes long)")
            state = wait_until(
                f"KubeVirt's conformance suite ends in {self.namespace}",
                self._state,
                Deadline.patience(self.hours * 3600),
                until=lambda seen: seen != "running",
                every=5.0,
            )
            if state != "done":
                log = pod_logs(self.cluster, self.namespace, _POD, _SUITE, tail=30)
                return self._without(f"it ended without results ({state}):\n{log}", time.monotonic() - started)
            return parse_junit(self.read(f"{_RESULTS}/junit.xml"), self.image)
        except (KubeError, WaitError, NotJUnit) as error:
            return self._without(str(error), time.monotonic() - started)

    @property
    def namespace(self) -> str:
        return f"kbc-{self.run_id}-upstream"

    def read(self, path: str) -> str:
        """A file of the results directory, empty while it is not there."""
        return pod_exec(self.cluster, self.namespace, _POD, _KEEPER, ("sh", "-c", f"cat {path} 2>/dev/null")).text()

    def manifests(self) -> tuple[Manifest, ...]:
        """The namespace, the suite's account, and its pod."""
        labels = {RUN_LABEL: self.run_id}
        metadata = {"name": _POD, "namespace": self.namespace, "labels": labels}
        group = "rbac.authorization.k8s.io"
        return (
            namespace_manifest(self.namespace, labels),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": self.namespace, "labels": labels},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "ServiceAccount", "name": _POD, "namespace": self.namespace}],
            },
            {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": metadata, "spec": self._spec()},
        )

    def _spec(self) -> Manifest:
        mount = [{"name": "results", "mountPath": _RESULTS}]
        env = {"PRIMARY_NETWORK_BINDING_PLUGIN": self.binding, "E2E_LABEL": LABELS, "CONTAINER_TAG": self.kubevirt}
        suite = {
            "name": _SUITE,
            "image": self.image,
            "command": ["/usr/bin/conformance"],
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "volumeMounts": mount,
        }
        keeper = {
            "name": _KEEPER,
            "image": self.keeper_image,
            "command": ["sleep", "infinity"],
            "volumeMounts": mount,
        }
        return {
            "serviceAccountName": _POD,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [suite, keeper],
            "volumes": [{"name": "results", "emptyDir": {}}],
        }

    def _state(self) -> str:
        """``running``, ``done``, or how its container ended before it was."""
        pod = self.cluster.get(POD.ref(_POD, self.namespace))
        statuses = {s["name"]: s for s in dig(pod, "status", "containerStatuses", default=[])}
        if dig(statuses, _KEEPER, "state", "running") is not None and self.read(f"{_RESULTS}/done"):
            return "done"
        ended = dig(statuses, _SUITE, "state", "terminated")
        waiting = dig(statuses, _SUITE, "state", "waiting", default={})
        if ended is not None:
            return f"exit status {ended.get('exitCode')}"
        if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
            return f"{waiting['reason']}: {waiting.get('message', '')}"
        return "running"

    def _without(self, trouble: str, seconds: float = 0.0) -> UpstreamSuite:
        return UpstreamSuite(self.image, seconds, trouble=trouble)

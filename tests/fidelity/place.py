"""A cluster made ready for the recorded scenarios: artifacts, networks, registrations, a fresh namespace each."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conformance.kube.errors import PatienceExceeded
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.sandbox.daemon import RunningSandbox
from conformance.sandbox.images import Image
from tests.fidelity.http import Api, Reply
from tests.fidelity.recording import Object, Recording, dig, mapping, objects, text
from tests.fidelity.scenarios import CNI_PLUGINS, GUEST_IMAGE, SIDECAR_PROCESS, SIDECARS, networks

_NADS: Final = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions"
_CR: Final = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt"
_KUBEVIRT: Final = "/apis/kubevirt.io/v1/namespaces"
_NODES: Final = "/api/v1/nodes"
_MACVTAP: Final = "macvtap.network.kubevirt.io/dataplane"
_CREATED: Final = (200, 201, 409)
_GONE_SECONDS: Final = 60.0


class NotReadyError(RuntimeError):
    """The cluster refused what a scenario needs before it begins."""


class Place:
    """One sandbox, prepared once by `prepare`; `stage` gives a scenario its registrations and namespace."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._sandbox = sandbox
        self.api = Api(sandbox.kubeconfig)

    def prepare(self) -> None:
        """Images, CNI plugins and networks that every scenario may use. Raises NotReadyError."""
        self._sandbox.load_image(Image(GUEST_IMAGE, guest="mini"))
        for sidecar in SIDECARS:
            self._sandbox.load_image(Image(sidecar.image, tuple(sidecar.layers), tuple(sidecar.command)))
        for name, path in CNI_PLUGINS:
            self._sandbox.install_cni_plugin(name, path)
        for network in networks():
            _require(self.api.send("POST", _NADS, network), f"network {text(dig(network, 'metadata', 'name'))}")
        self._advertise()

    def _advertise(self) -> None:
        """Let every node offer the device resource that the recorded macvtap network asks for."""
        counts: Object = {_MACVTAP: "50"}
        for node in objects(self.api.send("GET", _NODES).body.get("items")):
            path = f"{_NODES}/{text(dig(node, 'metadata', 'name'))}/status"
            _require(self.api.merge(path, {"status": {"capacity": counts, "allocatable": counts}}), path)

    def register(self, bindings: Object) -> None:
        """Make `bindings` the registrations of the KubeVirt CR, no others. Raises NotReadyError."""
        present = mapping(dig(self.api.send("GET", _CR).body, "spec", "configuration", "network", "binding"))
        patch: Object = {**dict.fromkeys(present), **bindings}
        reply = self.api.merge(_CR, {"spec": {"configuration": {"network": {"binding": patch}}}})
        _require(reply, "registrations")

    @contextmanager
    def stage(self, recording: Recording) -> Iterator[None]:
        """The recorded registrations and an empty namespace of the recorded name; removed afterwards."""
        namespace = recording.seen.namespace
        self.register(recording.bindings)
        self._clear(namespace)
        body: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        _require(self.api.send("POST", "/api/v1/namespaces", body), f"namespace {namespace}")
        try:
            yield
        finally:
            self._clear(namespace)

    def kill_sidecar(self) -> None:
        """SIGKILL to the sidecar's process, found below the sandbox's own. Raises NotReadyError if there is none."""
        for entry in Path("/proc").glob("[0-9]*"):
            words = _read(entry / "cmdline").split("\0")
            if SIDECAR_PROCESS in words and words[0].endswith("python3") and self._is_ours(int(entry.name)):
                os.kill(int(entry.name), signal.SIGKILL)
                return
        raise NotReadyError("no sidecar process runs")

    def _is_ours(self, pid: int) -> bool:
        while pid > 1:
            if pid == self._sandbox.record.pid:
                return True
            status = _read(Path(f"/proc/{pid}/status"))
            pid = int(next((line.split()[1] for line in status.splitlines() if line.startswith("PPid:")), "0"))
        return False

    def _clear(self, namespace: str) -> None:
        """Delete what is left of a scenario and wait until it is gone."""
        for plural in ("virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations"):
            path = f"{_KUBEVIRT}/{namespace}/{plural}"
            for item in objects(self.api.send("GET", path).body.get("items")):
                self.api.send("DELETE", f"{path}/{text(dig(item, 'metadata', 'name'))}")
        pods, itself = f"/api/v1/namespaces/{namespace}/pods", f"/api/v1/namespaces/{namespace}"
        if not self._gone(
            f"the pods of {namespace} are gone", lambda: not self.api.send("GET", pods).body.get("items")
        ):
            for item in objects(self.api.send("GET", pods).body.get("items")):
                self.api.send("DELETE", f"{pods}/{text(dig(item, 'metadata', 'name'))}?gracePeriodSeconds=0")
        self.api.send("DELETE", itself)
        self._gone(f"{namespace} is gone", lambda: self.api.send("GET", itself).code == 404)

    def _gone(self, what: str, probe: Callable[[], bool]) -> bool:
        try:
            return wait_until(what, probe, Deadline.patience(_GONE_SECONDS))
        except PatienceExceeded:
            return False


def _require(reply: Reply, what: str) -> None:
    if reply.code not in _CREATED:
        raise NotReadyError(f"{what}: {reply.code} {text(reply.body.get('message'))}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""From the creation of a VM to a command over SSH, one VM at a time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from conformance.cluster.install import Installation, undo
from conformance.cluster.sandbox import SandboxProvider
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.guest.shell import GuestError
from conformance.guest.ssh import SshShell
from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError
from conformance.kube.ledger import Ledger
from conformance.kube.lifecycle import delete_vmi
from conformance.kube.manifest import VMI
from conformance.kube.portforward import portforward
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import NicSpec, Port, VmiSpec
from conformance.kube.wait import wait_until
from conformance.model import Binding
from fixtures.images import known_guest

_SECONDS = 120.0
_BANNER_SECONDS = 1.0


class Boots:
    """Boots of VMs with one binding in a running sandbox; the binding is installed while the context lasts."""

    def __init__(self, state: Path, binding: Binding) -> None:
        self._directory = tempfile.TemporaryDirectory()
        scratch = Path(self._directory.name)
        self._binding, self._timeouts, self._keys = binding, Timeouts().scaled(2), GuestKeys.generate()
        self._provider = SandboxProvider(state)
        kubeconfig = self._provider.up(lambda _text: None)
        self._ledger = Ledger(scratch / "ledger")
        self._cluster = Cluster.connect(kubeconfig, cache_file=scratch / "discovery", ledger=self._ledger)

    def __enter__(self) -> Boots:
        Installation(self._cluster, self._provider, self._binding, "bench", self._timeouts).install(lambda _text: None)
        return self

    def __exit__(self, *_error: object) -> None:
        undo(lambda _: self._cluster, self._ledger, self._timeouts)
        self._cluster.close()
        self._directory.cleanup()

    def seconds(self, name: str) -> float:
        """Boot one VM, run a command in it over the portforward subresource, delete it; seconds until the answer."""
        image = known_guest()
        nic = NicSpec("default", self._binding.name, ports=(Port(22, "TCP", "ssh"),))
        data = self._keys.user_data(hostname=name)
        spec = VmiSpec(name, "default", (nic,), image.reference, data, image.boot_memory, grace_seconds=0)
        begun = time.monotonic()
        self._cluster.create(spec.vmi())
        wait_until(f"SSH to {name}", lambda: self._answers(name, image), Deadline.patience(_SECONDS))
        took = time.monotonic() - begun
        delete_vmi(self._cluster, VMI.ref(name, "default"), Deadline.patience(_SECONDS))
        return took

    def _answers(self, name: str, image: GuestImage) -> bool:
        """Whether SSH works by now. A proxy such as passt accepts before the guest listens: short patience, again."""
        try:
            sock = portforward(self._cluster, "default", name, 22)
            with SshShell(sock, "ssh", name, image, self._keys, seconds=_BANNER_SECONDS) as shell:
                return shell.run("true", timeout=5.0).ok
        except (GuestError, ApiError):
            return False

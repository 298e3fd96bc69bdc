"""The embedded cluster as a provider; besides the command line the only importer of ``conformance.sandbox``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.cluster.provider import Mode, Progress, ProviderError
from conformance.cluster.shape import USUAL, Shape
from conformance.guest.image import DEFAULT
from conformance.model import Binding
from conformance.sandbox import daemon
from conformance.sandbox.artifacts import node_image
from conformance.sandbox.guestlibrary import parse_choice
from conformance.sandbox.guests import GUEST_NAMES, GuestBuildError, ensure_guest
from conformance.sandbox.images import Image
from conformance.sandbox.preflight import preflight
from conformance.sandbox.roots import RootError
from conformance.sandbox.state import default_cache_dir, default_state_dir


def guest_choice(text: str) -> str:
    """Check a text ``[REFERENCE=]GUEST``, GUEST being a guest's name or a disk image's path, and return it.

    Raises ValueError that names what is wrong and the fix.
    """
    parse_choice(text)
    return text


class SandboxProvider:
    """Implements :class:`~conformance.cluster.provider.Provider`: a sandbox of our own, or one that is up already.

    ``attach_to`` is the state directory of a running sandbox, which :meth:`down` then leaves alone. ``detach`` lets our
    own outlive this process (``--keep-on-failure``, ``up``); with ``hco`` the KubeVirt CR belongs to HCO.
    """

    mode: Mode = "sandbox"

    def __init__(
        self,
        attach_to: Path | None = None,
        *,
        detach: bool = False,
        kubevirt_version: str = "",
        guests: Sequence[str] = (),
        hco: bool = False,
        shape: Shape = USUAL,
    ) -> None:
        """`guests` are texts ``[REFERENCE=]GUEST`` that :func:`guest_choice` has accepted."""
        self._attach_to, self._detach, self._kubevirt_version = attach_to, detach, kubevirt_version
        self._guests = [parse_choice(text) for text in guests]
        self._hco, self._shape = hco, shape
        self._running: daemon.RunningSandbox | None = None

    @property
    def guest(self) -> str:
        """Its own guest renews at once; of a disk image that the user gives, no more is known than of Fedora."""
        return DEFAULT if self._guests else "reacting"

    @property
    def owned(self) -> bool:
        """Whether :meth:`down` takes the whole sandbox away."""
        return self._attach_to is None

    def export_logs(self, directory: Path) -> None:
        """Nothing: what a check needs of the sandbox is in its own evidence."""

    @property
    def state_directory(self) -> Path:
        """Where the sandbox keeps its state."""
        return self._attach_to or default_state_dir()

    def up(self, progress: Progress) -> Path:
        """Attach, or start one. Says what the machine lacks before it starts anything."""
        try:
            for guest in {guest for _, guest in self._guests if guest in GUEST_NAMES}:
                ensure_guest(default_cache_dir() / "guests", progress, guest)
            if self._attach_to is not None:
                self._running = daemon.attach(self._attach_to)
            else:
                self._start(progress)
            for reference, guest in self._guests:
                self.running().load_image(Image(reference, guest=guest))
        except (daemon.SandboxError, daemon.StateError, GuestBuildError, RootError, OSError) as error:
            log = getattr(error, "log", "") or getattr(error, "output", "")
            fix = getattr(error, "fix", "")
            raise ProviderError("\n".join(filter(None, (str(error), fix, log)))) from error
        return self.running().kubeconfig

    def load_artifacts(self, binding: Binding) -> None:
        """Images into the sandbox's store, CNI plugins into the nodes' plugin directories."""
        for image in binding.artifacts.images:
            self.running().load_image(node_image(image, default_cache_dir() / "images"))
        for plugin in binding.artifacts.cni_plugins:
            self.running().install_cni_plugin(plugin.name, plugin.path)

    def nodes(self) -> list[str]:
        return list(self.running().nodes)

    def down(self) -> None:
        """Stop the sandbox that :meth:`up` started."""
        if self._running is not None and self._attach_to is None:
            self._running.stop()
        self._running = None

    def running(self) -> daemon.RunningSandbox:
        """The sandbox. Raises ProviderError before :meth:`up`."""
        if self._running is None:
            raise ProviderError("the sandbox is not up")
        return self._running

    def _start(self, progress: Progress) -> None:
        lacking = [f for f in preflight(default_cache_dir(), self.state_directory) if f.required and not f.ok]
        if lacking:
            listed = "\n".join(f"  {finding.name}: {finding.detail}\n    fix: {finding.fix}" for finding in lacking)
            raise ProviderError(f"this machine cannot run the sandbox:\n{listed}")
        said: dict[str, int] = {}

        def tell(stage: str, fraction: float) -> None:
            quarter = int(fraction * 4)
            if said.get(stage, -1) < quarter:
                said[stage] = quarter
                progress(f"sandbox: {stage} {fraction:.0%}")

        plane = {"kubevirt-version": self._kubevirt_version, "hco": "true" if self._hco else ""}
        plane = {name: value for name, value in plane.items() if value}
        options = daemon.Options(
            nodes=daemon.node_names(self._shape.nodes),
            mtu=self._shape.pod_mtu,
            ip_provider=self._shape.ip_provider or "routed",
            detach=self._detach,
            options=plane,
        )
        self._running = daemon.start(options, tell)

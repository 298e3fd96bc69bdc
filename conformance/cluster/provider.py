"""The seam between a run and its cluster: a kubeconfig comes out, and nothing else is known about what is behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, get_args

from conformance.kube.outcome import EnvironmentFault
from conformance.model import Binding

Mode = Literal["sandbox", "kind", "kubeconfig"]
MODES: tuple[Mode, ...] = get_args(Mode)

# Tells the user what is being done now; one short line.
Progress = Callable[[str], None]


class ProviderError(EnvironmentFault):
    """The cluster cannot be had; the message says why and what to do about it."""


class Provider(Protocol):
    """A cluster for one run, or for several in a row."""

    @property
    def mode(self) -> Mode: ...

    def up(self, progress: Progress) -> Path:
        """Bring the cluster up, or find it; return a kubeconfig. Raises ProviderError, leaving nothing behind then."""
        ...

    def load_artifacts(self, binding: Binding) -> None:
        """Give the nodes what the binding's definition brings for clusters without a registry."""
        ...

    @property
    def guest(self) -> str:
        """The guest profile that its container disks are of, unless the user says otherwise."""
        ...

    @property
    def owned(self) -> bool:
        """Whether :meth:`down` takes the whole cluster away, with everything on it."""
        ...

    def export_logs(self, directory: Path) -> None:
        """Save what the nodes can tell of a run that went wrong; nothing where they are not ours to look into."""
        ...

    def nodes(self) -> list[str]:
        """The names of the nodes that can run a VM."""
        ...

    def down(self) -> None:
        """Take the cluster away if ``up`` made it; may be called twice, and after a failed ``up``."""
        ...

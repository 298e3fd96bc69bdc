"""The seam between a run and its cluster: a kubeconfig comes out, and nothing else is known about what is behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from conformance.kube.outcome import EnvironmentFault
from conformance.model import Binding

Mode = Literal["sandbox", "kubeconfig"]
MODES: tuple[Mode, ...] = ("sandbox", "kubeconfig")

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

    def nodes(self) -> list[str]:
        """The names of the nodes that can run a VM."""
        ...

    def down(self) -> None:
        """Take the cluster away if ``up`` made it; may be called twice, and after a failed ``up``."""
        ...

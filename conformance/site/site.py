"""The local facts of a cluster, as the rest of the library takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Guest:
    """A containerDisk and the account to log in with; ``memory`` is a quantity."""

    image: str
    user: str
    password: str = field(repr=False)
    memory: str


@dataclass(frozen=True)
class Mirror:
    """References that begin with ``source`` are had from ``mirror``."""

    source: str
    mirror: str


@dataclass(frozen=True)
class Site:
    """Empty parts mean: nothing special. ``registrar`` and ``runner`` are kubeconfig files."""

    name: str = ""
    namespaces: tuple[str, ...] = ()
    registrar: Path | None = None
    runner: Path | None = None
    installed: bool = False
    node_access: bool = False
    disruption: bool = False
    node_selector: Mapping[str, str] = field(default_factory=dict)
    proxy: str = ""
    mirrors: tuple[Mirror, ...] = ()
    guest: Guest | None = None
    ports: tuple[int, ...] = ()
    secondary_network: str = ""
    disabled_feature_gates: tuple[str, ...] = ()
    timeout_factor: float = 1.0

    def image(self, reference: str) -> str:
        """Where an image is had here: the reference itself, or at its mirror."""
        fitting = [m for m in self.mirrors if _begins(reference, m.source)]
        best = max(fitting, key=lambda mirror: len(mirror.source), default=None)
        return best.mirror + reference.removeprefix(best.source) if best else reference


def _begins(reference: str, source: str) -> bool:
    return reference.startswith(source) and reference[len(source) : len(source) + 1] in ("", "/", ":", "@")

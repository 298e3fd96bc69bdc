"""``binding-conformance up`` and ``down``: a cluster of ours to play with, in the sandbox or in kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.cli.sweeping import forget_runs
from conformance.cluster.kind import KindProvider
from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.provider import Progress, ProviderError
from conformance.cluster.shape import USUAL, Shape
from conformance.model import ModelError
from conformance.plugin.paths import data_root

LOGS = Path("out/cluster-logs")


class UnknownRelease(ModelError):
    """A KubeVirt release that the sandbox cannot stand for."""


class NotInKind(ModelError):
    """Something that only the sandbox can do."""


class UnusableGuest(ModelError):
    """A guest that the sandbox has not, or a disk image that no VM could boot."""


def bring_up(
    cluster: str,
    kubevirt_version: str,
    kubernetes_version: str,
    kind: Sequence[str],
    guests: Sequence[str],
    progress: Progress,
    *,
    hco: bool = False,
    shape: Shape = USUAL,
) -> Path:
    """Start it, to outlive this process; its kubeconfig. Raises ModelError for words that cannot be."""
    require_guests(cluster, guests)
    shape.require(cluster)
    if cluster == "kind":
        if hco:
            raise NotInKind("--hco: only the sandbox has a stand-in for HCO; leave out --cluster kind")
        options = KindOptions.parse(kind, kubevirt_version=kubevirt_version, kubernetes_version=kubernetes_version)
        return KindProvider(options, data_root(), LOGS.absolute(), detach=True).up(progress)
    from conformance.cluster.sandbox import SandboxProvider

    known_to_sandbox(kubevirt_version)
    provider = SandboxProvider(detach=True, kubevirt_version=kubevirt_version, guests=guests, hco=hco, shape=shape)
    return provider.up(progress)


def take_down(cluster: str, kind: Sequence[str], progress: Progress) -> None:
    """End it, and forget the runs that were kept on it. Raises ProviderError when there is none."""
    if cluster == "kind":
        options = KindOptions.parse(kind)
        provider = KindProvider(options, data_root(), LOGS.absolute())
        if not provider.remove():
            raise ProviderError(f"there is no kind cluster {options.name}")
        forget_runs(provider.kubeconfig)
        progress(f"removed the kind cluster {options.name}")
        return
    from conformance.cluster.sandbox import SandboxProvider
    from conformance.sandbox.daemon import SandboxError, attach

    try:
        running = attach(SandboxProvider().state_directory)
        running.stop()
        forget_runs(running.kubeconfig)
    except SandboxError as error:
        raise ProviderError(str(error)) from error


def require_guests(cluster: str, guests: Sequence[str]) -> None:
    """Raises UnusableGuest for a guest image that cannot be, and for any where there is no sandbox."""
    for guest in guests:
        if cluster != "sandbox":
            raise UnusableGuest(f"--guest-image {guest}: only the sandbox maps containerDisks; leave it out")
        from conformance.cluster.sandbox import guest_choice

        try:
            guest_choice(guest)
        except ValueError as error:
            raise UnusableGuest(f"--guest-image {guest}: {error}") from error


def known_to_sandbox(version: str) -> None:
    """Raises UnknownRelease for a KubeVirt release that the sandbox holds no facts of."""
    from conformance.sandbox.kubevirt.facts import UnknownVersionError, facts_for

    try:
        if version:
            facts_for(version)
    except UnknownVersionError as error:
        raise UnknownRelease(f"--kubevirt-version {version}: {error}") from error

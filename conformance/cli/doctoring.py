"""``binding-conformance doctor``: what this machine lacks for the sandbox or for kind, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.kindhost import preflight as kind_preflight
from conformance.cluster.kindimages import image_sources
from conformance.cluster.provider import Progress, ProviderError
from conformance.host.finding import Finding, obstacles
from conformance.images.bundle import LOCK
from conformance.images.lock import ImagesLock
from conformance.plugin.paths import fixtures_directory
from conformance.sandbox.preflight import InstallError, install_packages, missing_packages, preflight
from conformance.sandbox.state import default_cache_dir, default_state_dir


def examine(console: Console, progress: Progress, *, install: bool) -> bool:
    """Print every finding; True when nothing that is required lacks. ``install`` mends what packages can mend first.

    Raises ProviderError when apt-get cannot install them.
    """
    findings = preflight(default_cache_dir(), default_state_dir())
    packages = missing_packages(findings)
    if install and packages:
        progress(f"installing {' '.join(packages)}")
        try:
            install_packages(packages, lambda _stage, fraction: progress(f"packages {fraction:.0%}"))
        except InstallError as error:
            raise ProviderError(str(error)) from error
        findings = preflight(default_cache_dir(), default_state_dir())
    return _print(console, findings)


def examine_kind(console: Console, words: Sequence[str]) -> bool:
    """The same for a kind cluster with KubeVirt. Raises ModelError for an option that cannot be."""
    options = KindOptions.parse(words)
    path = options.bundle / LOCK if options.bundle else fixtures_directory() / "images.lock"
    return _print(console, [*kind_preflight(options), *image_sources(options, ImagesLock(path))])


def _print(console: Console, findings: Sequence[Finding]) -> bool:
    for finding in findings:
        mark = "[green]ok[/]  " if finding.ok else ("[red]lack[/]" if finding.required else "[yellow]hint[/]")
        console.print(f"{mark}  {finding.name}: {finding.detail}", highlight=False, soft_wrap=True)
        if not finding.ok:
            console.print(f"        fix: {finding.fix}", highlight=False, markup=False, soft_wrap=True)
    return not obstacles(findings)

"""``binding-conformance doctor``: what this machine lacks for the sandbox, and what mends it."""

from __future__ import annotations

from rich.console import Console

from conformance.cluster.provider import Progress, ProviderError
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
    for finding in findings:
        mark = "[green]ok[/]  " if finding.ok else ("[red]lack[/]" if finding.required else "[yellow]hint[/]")
        console.print(f"{mark}  {finding.name}: {finding.detail}", highlight=False, soft_wrap=True)
        if not finding.ok:
            console.print(f"        fix: {finding.fix}", highlight=False, markup=False, soft_wrap=True)
    return all(finding.ok or not finding.required for finding in findings)

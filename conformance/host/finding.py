"""One thing that was looked at before anything starts: fit, or not and why, and the fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `required` tells an obstacle from a remark: without it things work, with less. `fix` is a command or an
    advice, empty when `ok`; `packages` are the Debian packages that would help.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True
    packages: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" + (f"\n    fix: {self.fix}" if self.fix else "")


def obstacles(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those without which it does not work at all."""
    return tuple(finding for finding in findings if finding.required and not finding.ok)

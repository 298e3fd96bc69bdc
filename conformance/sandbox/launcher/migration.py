"""Live migration between two launcher pods: libvirt's peer-to-peer mode over UNIX sockets."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from conformance.sandbox.launcher.errors import LibvirtError, MigrationError
from conformance.sandbox.launcher.libvirt import Libvirt

Progress = Callable[[Mapping[str, str]], None]
"""Told now and then what `virsh domjobinfo` says: name -> value with unit, as libvirt words them."""

_PROGRESS_SECONDS = 0.5
_ABORTED = ("operation aborted", "canceled by client", "cancelled by client")


@dataclass(frozen=True)
class MigrationResult:
    """A finished migration. `wall_seconds` is from the call to its return, `downtime_ms` what libvirt measured."""

    wall_seconds: float
    downtime_ms: int | None
    job: Mapping[str, str]


async def migrate(
    source: Libvirt,
    target: Libvirt,
    domain: str,
    sockets: Path,
    disks: Sequence[str] = (),
    progress: Progress | None = None,
    timeout: float = 120.0,
) -> MigrationResult:
    """Move a running domain to another libvirtd; it is defined there afterwards and stays shut off at the source.

    `sockets` is a directory both daemons see at the same path; `disks` are the targets of the disks to copy, whose
    layers exist at the target over the same base. Raises MigrationError; the domain then runs on where it was.
    """
    channel = sockets / f"migrate-{secrets.token_hex(4)}"
    copying = sockets / f"{channel.name}-disks"
    copied = ("--copy-storage-inc", "--migrate-disks", ",".join(disks), "--disks-uri", f"unix://{copying}")
    started = monotonic()
    watcher = asyncio.ensure_future(_watch(source, domain, progress)) if progress else None
    try:
        await source.call(
            "migrate",
            "--live",
            "--p2p",
            "--persistent",
            "--domain",
            domain,
            "--desturi",
            target.uri,
            "--migrateuri",
            f"unix://{channel}",
            *(copied if disks else ()),
            timeout=timeout,
        )
    except LibvirtError as error:
        raise MigrationError(str(error), aborted=any(word in str(error) for word in _ABORTED)) from error
    finally:
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        channel.unlink(missing_ok=True)
        copying.unlink(missing_ok=True)
    wall = monotonic() - started
    job = await _completed_job(target, domain)
    return MigrationResult(wall, _milliseconds(job.get("Total downtime")), job)


async def abort(source: Libvirt, domain: str) -> bool:
    """Abort a running migration; False if there is none (any more)."""
    try:
        await source.call("domjobabort", domain)
    except LibvirtError:
        return False
    return True


async def _watch(source: Libvirt, domain: str, progress: Progress) -> None:
    with contextlib.suppress(LibvirtError):
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            progress(await source.values("domjobinfo", domain))


async def _completed_job(target: Libvirt, domain: str) -> Mapping[str, str]:
    """Statistics of the finished job; they are kept at the target too. Empty if libvirt kept none."""
    try:
        return await target.values("domjobinfo", domain, "--completed")
    except LibvirtError:
        return {}


def _milliseconds(text: str | None) -> int | None:
    """`61           ms` or `1,204 s` as whole milliseconds."""
    words = (text or "").replace(",", ".").split()
    if len(words) != 2:
        return None
    factor = {"ms": 1, "s": 1000}.get(words[1])
    return None if factor is None else round(float(words[0]) * factor)

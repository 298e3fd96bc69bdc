"""Prints one figure a line: what it is, how much, the CPU time of QEMU beside it, and the limit it must keep.

Wall times are noise on a busy machine; wall / (QEMU CPU / cores) is what can be compared.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from conformance.model import load_binding, resolve
from conformance.report import read_report
from conformance.sandbox import daemon
from tests.bench.api import bench_api
from tests.bench.binding import Figure, Vms
from tests.bench.processes import QemuMeter, memory_megabytes

ROOT = Path(__file__).parents[2]
CERTIFIED = ("managedtap", "passt")
BUNDLED = tuple(path.stem for path in sorted((ROOT / "fixtures" / "bindings").glob("*.yaml")))
# What certification began with: login, lease, connectivity, one migration with link refresh, and nothing left.
FIRST = (
    *("REG-001", "REG-002", "REG-007", "VM-001", "VM-002", "DHCP-001", "DHCP-002", "DHCP-003", "DHCP-007"),
    *("CONN-001", "CONN-002", "CONN-007", "MTU-001", "OBS-001", "OBS-003", "LIFE-001"),
    *("MIG-001", "MIG-003", "MIG-004", "MIG-005", "MIG-006", "MIG-008", "MIG-009", "MIG-010", "MIG-011"),
)
REPEATS = 3
TOLERANCE = 1.5
"""How much slower than its reference a figure may be."""


def figure(what: str, value: float, unit: str, limit: float | None = None, note: str = "") -> None:
    """Print one figure."""
    kept = "" if limit is None else f"  limit {limit:g} {unit} {'kept' if value <= limit else 'BROKEN'}"
    print(f"{what:<44}{value:>9.2f} {unit:<4}{kept}{'  ' + note if note else ''}", flush=True)


@contextmanager
def sandbox(name: str) -> Iterator[tuple[daemon.RunningSandbox, float]]:
    """A sandbox and the seconds it took to a usable API."""
    begun = time.monotonic()
    options = daemon.Options(state_dir=Path(f"/run/kbc-{name}{os.getpid()}"))
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        yield running, time.monotonic() - begun


def measured(command: Sequence[str], environment: dict[str, str] | None = None) -> tuple[float, float, int]:
    """Wall seconds, QEMU CPU seconds and exit status of a command."""
    begun = time.monotonic()
    with QemuMeter() as meter:
        status = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    return time.monotonic() - begun, meter.seconds, status


def contention(wall: float, cpu: float) -> str:
    """The comparable part of a wall time."""
    cores = os.cpu_count() or 1
    return f"QEMU CPU {cpu:.1f} s, wall / (QEMU CPU / {cores} cores) = {wall / (cpu / cores):.2f}" if cpu else "no QEMU"


def bench_up() -> None:
    """Warm start to a usable API, and what an idle sandbox holds in memory."""
    seconds = []
    for _ in range(REPEATS):
        with sandbox("up") as (running, took):
            seconds.append(took)
            memory = memory_megabytes(running.record.pid)
    figure("warm up to a usable API, median of 3", statistics.median(seconds), "s", 4)
    figure("idle sandbox without VMs, memory", memory, "MB", 250)


def bench_vms(names: Sequence[str]) -> None:
    """Three VMs of each binding, all in one sandbox: medians, against the references of the mini guest."""
    with sandbox("vms") as (running, _):
        for name in names:
            binding = load_binding(resolve(name, ROOT / "fixtures"))
            found: dict[str, list[Figure]] = {}
            with Vms(running.state.path, binding) as vms:
                for number in range(REPEATS):
                    for one in vms.figures(f"bench-{number}"):
                        found.setdefault(one.what, []).append(one)
            for what, several in found.items():
                middle = sorted(several, key=lambda one: one.value)[len(several) // 2]
                limit = middle.reference * TOLERANCE if middle.reference else None
                figure(f"{name}: {what}", middle.value, middle.unit, limit, middle.note)


def bench_binding(name: str) -> None:
    """One binding, warm, in a sandbox of its own: what any binding is first asked, then the whole suite."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "conformance.cli", "run", name, "--report-dir", directory]
        wall, cpu, _ = measured([*command, *(f"--requirement={requirement}" for requirement in FIRST)])
        figure(f"{name}: warm run of {len(FIRST)} requirements", wall, "s", 90, contention(wall, cpu))
        wall, cpu, status = measured(command)
        figure(f"{name}: warm run of the whole suite (exit status {status})", wall, "s", None, contention(wall, cpu))
        report = read_report(Path(directory) / "report.yaml")
        for entry in report.entries:
            for measurement in entry.outcome.measurements:
                label = f"{name}: {entry.id} {measurement.name}"
                figure(label, measurement.value, measurement.unit)


def bench_cold() -> None:
    """`make certify` with an empty cache: packages, environment, root, guest and both bindings."""
    with tempfile.TemporaryDirectory(prefix="kbc-cold-") as cache:
        environment = {"XDG_CACHE_HOME": cache}
        wall, _, _ = measured(["make", "venv"], environment)
        with QemuMeter() as meter:
            begun = time.monotonic()
            done = subprocess.run(
                ["make", "certify", f"OUT={cache}/out"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.DEVNULL,
                check=False,
            )
        rest = time.monotonic() - begun
        figure("cold: virtual environment", wall, "s", 360)
        figure(
            f"cold: make certify (exit status {done.returncode})",
            wall + rest,
            "s",
            480,
            contention(rest, meter.seconds),
        )


def main() -> None:
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="also run `make certify` with an empty cache (minutes)")
    parser.add_argument(
        "--vms", nargs="+", metavar="BINDING", help="nothing but the figures of VMs with these bindings"
    )
    arguments = parser.parse_args()
    if arguments.vms:
        bench_vms(arguments.vms)
        return
    parts: list[Callable[[], None]] = [bench_up, partial(bench_api, figure), partial(bench_vms, BUNDLED)]
    parts += [partial(bench_binding, name) for name in CERTIFIED]
    for part in [*parts, *([bench_cold] if arguments.cold else [])]:
        part()


if __name__ == "__main__":
    main()

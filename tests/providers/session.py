"""A run as a vendor starts it, on a cluster that is up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conformance.model import Verdict
from conformance.report import read_report

ROOT = Path(__file__).parents[2]


def judge(binding: object, directory: Path, *options: object, seconds: float = 900) -> subprocess.CompletedProcess[str]:
    """One pytest session of the suite; its report is in ``directory/<name of the binding>``."""
    command = [sys.executable, "-m", "pytest", str(ROOT / "suites"), "-o", "addopts="]
    command += ["-p", "no:cacheprovider", "--binding", str(binding), "--report-dir", str(report_of(binding, directory))]
    modules = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [*command, *map(str, options)],
        env={**os.environ, "XDG_STATE_HOME": str(directory / "state"), "PYTHONPATH": modules},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def report_of(binding: object, directory: Path) -> Path:
    return directory / Path(str(binding)).stem


def verdicts(report: Path) -> dict[str, str]:
    """Verdict by requirement, of those that a check decided."""
    left_out = (Verdict.SKIPPED, Verdict.NOT_DECLARED)
    entries = read_report(report / "report.yaml").entries
    return {e.id: e.verdict.value for e in entries if e.verdict not in left_out}

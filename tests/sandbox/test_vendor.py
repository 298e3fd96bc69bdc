"""A vendor's release as it is: its definition, with the paths of its real binaries and archives, judged on the sandbox.

`pytest tests/sandbox/test_vendor.py --vendor-binding DEFINITION [--vendor-guest GUEST] [--vendor-fails ID ...]`
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.model import SkipReason, Verdict, load_binding
from conformance.report import read_report
from tests.lacking import need_root, skip

SECONDS = 1800.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def definition(request: pytest.FixtureRequest) -> Path:
    """The definition that is to be judged."""
    given = request.config.getoption("--vendor-binding", None)
    if not given:
        skip(SkipReason.NOT_SELECTED, "no vendor's release is here: name its definition with --vendor-binding")
    need_root()
    return Path(given).absolute()


@pytest.fixture
def known_failures(request: pytest.FixtureRequest) -> set[str]:
    """The requirements that it is known to fail."""
    return set(request.config.getoption("--vendor-fails"))


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> list[str]:
    """The arguments that choose the guest: a full kernel where the vendor emulates a NIC, the small one otherwise."""
    given = request.config.getoption("--vendor-guest")
    return ["--guest-image", given] if given else []


def test_a_vendors_release_comes_to_its_verdict(
    definition: Path, guest: list[str], known_failures: set[str], tmp_path: Path
) -> None:
    binding = load_binding(definition)
    assert binding.artifacts.images or binding.artifacts.cni_plugins, "the definition brings none of the vendor's files"
    command = [sys.executable, "-m", "conformance.cli", "run", str(definition), *guest]
    ran = subprocess.run(
        [*command, "--report-dir", str(tmp_path / "report")],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = ran.stdout + ran.stderr
    assert ran.returncode in (0, 1), told
    report = read_report(tmp_path / "report" / "report.yaml")
    assert report.binding.digest == binding.digest
    by_verdict = {verdict: {e.id for e in report.entries if e.verdict is verdict} for verdict in Verdict}
    assert not by_verdict[Verdict.INCONCLUSIVE], told
    assert by_verdict[Verdict.NON_CONFORMANT] == known_failures, told
    assert ran.returncode == (1 if known_failures else 0), told

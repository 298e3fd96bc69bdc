"""The rights that `binding-conformance access` prints are those that whole runs use: none lacks, none is idle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.sandbox import daemon
from tests.lacking import need_root
from tests.providers.audited import Used, granted_rights, open_to_everybody, used_rights
from tests.providers.session import judge

BINDINGS = ("managedtap", "passt", "macvtap")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Used]]:
    """What the runs of three bindings, each as a registrar and a runner, asked an audited API server for."""
    need_root()
    directory = tmp_path_factory.mktemp("audited")
    log = directory / "audit.log"
    options = daemon.Options(state_dir=Path(f"/run/kbc-a{os.getpid()}"), options={"audit-log-path": str(log)})
    with daemon.start(options, lambda _stage, _fraction: None):
        for binding in BINDINGS:
            ran = judge(binding, directory, "--sandbox-state", options.state_dir)
            assert ran.returncode == 0, ran.stdout + ran.stderr
        yield used_rights(log)


@pytest.mark.slow
def test_nothing_is_asked_for_that_is_not_granted(used: set[Used]) -> None:
    missing = [one for one in used - granted_rights() if one[1:] not in open_to_everybody()]
    assert sorted(map(str, missing)) == [], "used and not in conformance/access/rights.yaml"


@pytest.mark.slow
def test_nothing_is_granted_that_no_check_uses(used: set[Used]) -> None:
    assert sorted(map(str, granted_rights() - used)) == [], "in conformance/access/rights.yaml and used by no run"

"""A pytest plugin for runs on kind: the preflight looks at the directory ``$FAKE_MACHINE`` in place of this machine."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from conformance.cluster.kindhost import Machine

PLUGIN = "tests.kind.machine"


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    machine = partial(Machine, Path(os.environ["FAKE_MACHINE"]), lambda _: 100 * 1024**3)
    patch.setattr("conformance.cluster.kind.Machine", machine)

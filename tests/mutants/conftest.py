"""One sandbox per worker, shared by the runs of its tests: what one run leaves behind would fail the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.sandbox import daemon


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Path]:
    """The state directory of a running sandbox."""
    yield from _running(daemon.Options(state_dir=Path(f"/run/kbc-m{os.getpid()}")))


@pytest.fixture(scope="session")
def hco_sandbox() -> Iterator[Path]:
    """The same where HCO owns the KubeVirt CR."""
    yield from _running(daemon.Options(state_dir=Path(f"/run/kbc-mh{os.getpid()}"), options={"hco": "true"}))


@pytest.fixture(scope="session")
def sticky_sandbox() -> Iterator[Path]:
    """The same with a pod network on which a VM keeps its addresses."""
    yield from _running(daemon.Options(state_dir=Path(f"/run/kbc-ms{os.getpid()}"), ip_provider="sticky"))


def _running(options: daemon.Options) -> Iterator[Path]:
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        yield running.state.path

"""Fixtures of the launcher's tests on real VMs."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.model import SkipReason
from conformance.sandbox.guests import GuestImage, ensure_guest
from tests.lacking import need_root, skip
from tests.sandbox.launcher.bench import Bench


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevirt-binding-conformance"


@pytest.fixture(scope="session")
def node_root() -> Path:
    """A node root: the newest in the cache, or the one BINDING_CONFORMANCE_NODE_ROOT names."""
    need_root()
    if named := os.environ.get("BINDING_CONFORMANCE_NODE_ROOT"):
        return Path(named)
    roots = sorted((_cache() / "roots").glob("[0-9a-f]*/"), key=lambda path: path.stat().st_mtime)
    if not roots:
        skip(SkipReason.ENVIRONMENT_LACKS, "no node root in the cache: run `binding-conformance up` once")
    return roots[-1]


@pytest.fixture(scope="session")
def guest() -> GuestImage:
    """The mini guest, built if the cache has none."""
    return ensure_guest(_cache() / "guests", print)


@pytest.fixture
def bench(node_root: Path, guest: GuestImage) -> Iterator[Bench]:
    """Two nodes for one test."""
    bench = Bench(node_root, guest)
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def _quiet_ssh() -> None:
    """paramiko logs a trace for every attempt on a guest that still boots."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)

"""Real sandboxes for the tests of nodes, pods, containers and the process life cycle. They need root."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.sandbox.daemon import Options, RunningSandbox, start
from conformance.sandbox.roots import ensure_node_root
from conformance.sandbox.state import StateDir, default_cache_dir, default_state_dir
from tests.lacking import need_root
from tests.sandbox.node.inside import Observed, observe

Observe = Callable[[str], Observed]
Start = Callable[..., RunningSandbox]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sandbox: needs root and the kernel; runs a real sandbox")


@pytest.fixture(scope="session")
def node_root() -> Path:
    """The cached node root, built when it is missing."""
    need_root()
    return ensure_node_root(default_cache_dir(), lambda _stage, _fraction: None)


@pytest.fixture
def state() -> Iterator[StateDir]:
    """A state directory of this test's own, short enough for sockets."""
    directory = StateDir(default_state_dir(f"t{uuid.uuid4().hex[:8]}"))
    yield directory
    directory.remove()


@pytest.fixture
def start_sandbox(node_root: Path, state: StateDir) -> Iterator[Start]:
    """Starts sandboxes on this test's state directory, with an entry of `tests.sandbox.node.entries`."""
    running: list[RunningSandbox] = []

    def begin(entry: str = "serve", **more: Any) -> RunningSandbox:
        options = Options(state_dir=state.path, root=node_root, entry=f"tests.sandbox.node.entries:{entry}")
        running.append(start(replace(options, **more), lambda _stage, _fraction: None))
        return running[-1]

    yield begin
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def inside(node_root: Path, state: StateDir, tmp_path: Path) -> Observe:
    """Runs a scenario, `<module of this package>:<coroutine>`, in a sandbox of its own and returns what it observed."""
    return lambda scenario: observe(scenario, node_root, state, tmp_path / "observed.json")

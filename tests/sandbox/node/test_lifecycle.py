"""A sandbox starts, refuses a second one, ends when told to, and leaves nothing however it ends."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance.sandbox.daemon import Options, SandboxBusyError, SandboxError, attach, start, sweep
from conformance.sandbox.images import Image
from conformance.sandbox.state import Record, StateDir
from tests.sandbox.node.conftest import Start

pytestmark = pytest.mark.sandbox

# Starts a sandbox as its owner, says so, and waits to be killed.
_OWNER = """
import sys, time
from pathlib import Path
from conformance.sandbox.images import Image
from conformance.sandbox.daemon import Options, start
sandbox = start(
    Options(state_dir=Path(sys.argv[1]), root=Path(sys.argv[2]), entry="tests.sandbox.node.entries:serve"),
    lambda stage, fraction: None,
)
print("up", flush=True)
time.sleep(3600)
"""


def processes_of(state: StateDir) -> list[str]:
    """The command lines of all processes that have to do with a state directory: by argument, root or open lock."""
    found: list[str] = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mounts = (directory / "mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if str(state.path) in command or str(state.path) in mounts:
            found.append(f"{directory.name} {command}")
    return found


def network_namespaces(pids: Iterable[str]) -> set[str]:
    """The network namespaces that these processes are in, but for the machine's own."""
    seen: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            seen.add(str(Path("/proc", pid, "ns", "net").readlink()))
    return seen - {str(Path("/proc/self/ns/net").readlink())}


def machine_state() -> tuple[str, list[str], list[str]]:
    """What a sandbox must not change: the machine's links, its named namespaces, its mounts."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    named = sorted(os.listdir("/run/netns")) if Path("/run/netns").is_dir() else []
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return links, named, mounts


def await_end(pid: int) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        assert selector.select(15), f"process {pid} still runs"
    os.close(descriptor)


def record_of(state: StateDir) -> Record:
    record = state.read_record()
    assert record is not None
    return record


def test_start_and_stop_leave_the_machine_as_it_was(start_sandbox: Start, state: StateDir) -> None:
    before = machine_state()
    sandbox = start_sandbox()
    assert sandbox.alive()
    assert sandbox.kubeconfig == state.kubeconfig
    assert machine_state() == before, "a running sandbox must be invisible outside"
    sandbox.stop()
    assert not sandbox.alive()
    assert not state.path.exists()
    assert processes_of(state) == []
    assert machine_state() == before
    sandbox.stop()


def test_a_second_sandbox_on_the_same_directory_is_refused(start_sandbox: Start, state: StateDir) -> None:
    first = start_sandbox()
    with pytest.raises(SandboxBusyError, match=f"already runs on {state.path} .process {first.record.pid}.*down"):
        start_sandbox()
    assert first.alive()


def test_attach_finds_a_detached_sandbox_and_ends_it(start_sandbox: Start, state: StateDir) -> None:
    start_sandbox(detach=True)
    found = attach(state.path)
    assert found.alive()
    assert found.nodes == ("node-1", "node-2")
    found.stop()
    assert processes_of(state) == []
    with pytest.raises(SandboxError, match="no sandbox runs"):
        attach(state.path)


def test_the_owners_death_ends_it(node_root: Path, state: StateDir) -> None:
    before = machine_state()
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(state.path), str(node_root)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        init = record_of(state).init
        owner.kill()
    await_end(init)
    assert processes_of(state) == []
    assert machine_state() == before
    assert sweep(state.path.parent) == [state.path] or not state.path.exists()
    assert not state.path.exists()


def test_killing_the_outer_process_ends_everything(start_sandbox: Start, state: StateDir) -> None:
    before = machine_state()
    record = start_sandbox(detach=True).record
    own = network_namespaces(line.split()[0] for line in processes_of(state))
    assert len(own) == 4, "two nodes, the data segment and a pod"
    os.kill(record.pid, signal.SIGKILL)
    await_end(record.init)
    assert processes_of(state) == []
    assert machine_state() == before
    assert own.isdisjoint(network_namespaces(os.listdir("/proc")))
    assert state.path in sweep(state.path.parent)


def test_sweep_spares_a_running_sandbox(start_sandbox: Start, state: StateDir) -> None:
    sandbox = start_sandbox()
    assert state.path not in sweep(state.path.parent)
    assert sandbox.alive()


def test_a_failing_control_plane_is_reported_and_leaves_nothing(start_sandbox: Start, state: StateDir) -> None:
    with pytest.raises(SandboxError, match="RuntimeError: the control plane has a fault") as caught:
        start_sandbox("fail")
    assert "Traceback" in caught.value.log
    assert not state.path.exists()
    assert processes_of(state) == []


def test_a_control_plane_that_is_never_ready_is_given_up(start_sandbox: Start, state: StateDir) -> None:
    with pytest.raises(SandboxError, match="not ready within 1 s"):
        start_sandbox("never_ready", start_timeout=1.0)
    assert not state.path.exists()
    assert processes_of(state) == []


def test_an_interrupt_while_starting_leaves_nothing(node_root: Path, state: StateDir) -> None:
    def interrupt(stage: str, fraction: float) -> None:
        if (stage, fraction) == ("nodes", 1.0):
            raise KeyboardInterrupt

    options = Options(state_dir=state.path, root=node_root, entry="tests.sandbox.node.entries:serve")
    with pytest.raises(KeyboardInterrupt):
        start(options, interrupt)
    assert not state.path.exists()
    assert processes_of(state) == []


@pytest.mark.parametrize("entry", ["ignore_shutdown", "block_the_loop"])
def test_a_control_plane_that_does_not_end_is_ended(entry: str, start_sandbox: Start, state: StateDir) -> None:
    sandbox = start_sandbox(entry, grace=0.3)
    begun = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - begun < 6
    assert processes_of(state) == []


def test_plugins_and_images_can_be_brought_in_from_outside(
    start_sandbox: Start, state: StateDir, tmp_path: Path
) -> None:
    plugin = tmp_path / "vendor"
    plugin.write_text("#!/usr/bin/python3\n", encoding="utf-8")
    sandbox = start_sandbox()
    sandbox.install_cni_plugin("vendor", plugin)
    init = sandbox.record.init
    for node in sandbox.nodes:
        # As the sandbox sees it, in the node's own tree.
        supervisor = Path(f"/proc/{init}/task/{init}/children").read_text(encoding="ascii").split()[0]
        installed = Path(f"/proc/{supervisor}/root{state.path}/nodes/{node}/root/opt/cni/bin/vendor")
        assert installed.read_bytes() == plugin.read_bytes()
        assert os.access(installed, os.X_OK)
    with pytest.raises(ValueError, match="plain file name"):
        sandbox.install_cni_plugin("../vendor", plugin)
    with pytest.raises(FileNotFoundError, match="layer"):
        sandbox.load_image(Image("vendor/sidecar:1", (tmp_path / "missing",)))

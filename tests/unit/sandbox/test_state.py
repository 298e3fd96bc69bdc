"""The state directory: its lock, its record, and what sweep may remove."""

import os
import subprocess
from pathlib import Path

import pytest

from conformance.sandbox.state import (
    Record,
    SandboxBusyError,
    StateDir,
    StateError,
    default_cache_dir,
    process_start_time,
    sweep,
)


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    parent = tmp_path_factory.mktemp("s")
    monkeypatch.setattr("conformance.sandbox.state.MAX_PATH_BYTES", 4096)
    return StateDir(parent / "kbc-x")


def record_of(pid: int) -> Record:
    started = process_start_time(pid)
    assert started is not None
    return Record(pid, started, pid, started, "/run/kbc-x/kubeconfig", ("node-1",), 10.0)


def test_the_lock_is_held_until_its_last_descriptor_is_closed(state: StateDir) -> None:
    lock = state.create()
    copy = os.dup(lock)
    os.close(lock)
    with pytest.raises(SandboxBusyError, match="another process"):
        state.create()
    os.close(copy)
    os.close(state.create())


def test_a_busy_directory_names_the_process(state: StateDir) -> None:
    lock = state.create()
    state.write_record(record_of(os.getpid()))
    with pytest.raises(SandboxBusyError) as caught:
        state.create()
    assert caught.value.pid == os.getpid()
    os.close(lock)


def test_what_a_dead_sandbox_left_is_removed_before_the_next(state: StateDir) -> None:
    os.close(state.create())
    (state.pods / "old").mkdir()
    os.close(state.create())
    assert not (state.pods / "old").exists()
    assert state.images.is_dir()


def test_sweep_removes_the_dead_and_spares_the_living(state: StateDir) -> None:
    other = StateDir(state.path.with_name("kbc-y"))
    os.close(other.create())
    foreign = state.path.with_name("kbc-foreign")
    foreign.mkdir()
    lock = state.create()
    assert sweep(state.path.parent) == [other.path]
    assert state.path.exists()
    assert foreign.exists(), "a directory without a lock was not made by a sandbox"
    os.close(lock)
    assert sweep(state.path.parent) == [state.path]


def test_a_long_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="too long for UNIX sockets"):
        StateDir(tmp_path / ("x" * 60)).create()


def test_a_path_that_cannot_be_written_is_named(state: StateDir) -> None:
    state.path.parent.joinpath("file").write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="file"):
        StateDir(state.path.parent / "file" / "kbc-x").create()


def test_a_record_is_alive_while_that_very_process_is(state: StateDir) -> None:
    os.close(state.create())
    with subprocess.Popen(["sleep", "60"]) as process:
        record = record_of(process.pid)
        state.write_record(record)
        assert state.read_record() == record
        assert record.alive()
        reused = Record(process.pid, record.pid_started - 1, *record_fields(record))
        assert not reused.alive(), "another process with that number"
        process.kill()
    assert not record.alive()


def record_fields(record: Record) -> tuple[int, int, str, tuple[str, ...], float]:
    return record.init, record.init_started, record.kubeconfig, record.nodes, record.grace


def test_no_record_reads_as_none(state: StateDir) -> None:
    assert state.read_record() is None


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/disk")
    assert default_cache_dir() == Path("/big/disk/kubevirt-binding-conformance")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/vendor")
    assert default_cache_dir() == Path("/home/vendor/.cache/kubevirt-binding-conformance")

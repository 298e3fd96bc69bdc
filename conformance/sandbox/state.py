"""The state directory of one sandbox, its lock, and the record by which others find it.

The lock is held by the sandbox's outer processes through one inherited descriptor: the kernel drops it when the last of
them is gone, however they went. So a directory whose lock is free belongs to nobody and may be removed.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Record", "SandboxBusyError", "StateDir", "StateError", "default_cache_dir", "default_state_dir", "sweep"]

DEFAULT_ENTRY = "conformance.sandbox.controlplane:run"
GRACE_SECONDS = 10.0
# After the grace, and whatever hangs: the supervisor ends, and the kernel ends the rest.
HARD_STOP_SECONDS = 2.0

PREFIX = "kbc-"
# A UNIX socket's path holds 107 bytes; the deepest one below a state directory takes about 65 of them.
MAX_PATH_BYTES = 40


class StateError(Exception):
    """The state directory cannot be used; the text names it and says what to do."""


class SandboxBusyError(StateError):
    """Another sandbox runs on this state directory."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"a sandbox already runs on {path} ({owner}): end it with `binding-conformance down`, or wait for it"
        )


def default_state_dir(name: str = "default") -> Path:
    """Where a sandbox called `name` keeps its state: kbc-<name> in /run, else in $XDG_RUNTIME_DIR."""
    run = Path("/run")
    if not os.access(run, os.W_OK):
        run = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
    return run / f"{PREFIX}{name}"


def default_cache_dir() -> Path:
    """Where built roots and guests are kept: $XDG_CACHE_HOME or ~/.cache, below kubevirt-binding-conformance."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "kubevirt-binding-conformance"


@dataclass(frozen=True)
class Record:
    """What `attach` needs to know of a running sandbox.

    `pid` is the outer process, whose death ends everything; `init` is PID 1 of the sandbox as seen from outside. Each
    comes with its start time in clock ticks since boot (proc(5)), so that a reused number is told from the real one.
    """

    pid: int
    pid_started: int
    init: int
    init_started: int
    kubeconfig: str
    nodes: tuple[str, ...]
    grace: float

    def alive(self) -> bool:
        """Whether the outer process is still the one that was recorded."""
        return process_start_time(self.pid) == self.pid_started


@dataclass(frozen=True)
class StateDir:
    """The layout of a state directory."""

    path: Path

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def api(self) -> Path:
        return self.path / "api"

    @property
    def images(self) -> Path:
        return self.path / "images"

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    @property
    def pods(self) -> Path:
        return self.path / "pods"

    @property
    def run(self) -> Path:
        """For sockets and namespace files."""
        return self.path / "run"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def supervisor_log(self) -> Path:
        return self.log / "supervisor.log"

    def node(self, name: str) -> Path:
        return self.nodes / name

    def pod(self, uid: str) -> Path:
        return self.pods / uid

    def create(self) -> int:
        """Make the directory and take its lock; what a dead sandbox left in it is removed first.

        Returns the descriptor that holds the lock, to be inherited by the sandbox. Raises SandboxBusyError if one runs
        there, StateError if the path is too long for sockets or cannot be written.
        """
        if len(os.fsencode(self.path)) > MAX_PATH_BYTES:
            raise StateError(
                f"state directory {self.path}: longer than {MAX_PATH_BYTES} bytes, too long for UNIX sockets in it; "
                "choose a shorter one, below /run or /tmp"
            )
        try:
            lock = self._lock()
            remove_contents(self.path, keep=("lock",))
            for directory in (self.api, self.images, self.nodes, self.pods, self.run, self.log):
                directory.mkdir()
        except OSError as error:
            raise StateError(f"state directory {self.path}: {error.strerror or error}") from error
        return lock

    def remove(self) -> None:
        """Remove the directory. Raises StateError if something is mounted in it, SandboxBusyError if it is in use."""
        if self.path.exists():
            lock = self._lock()
            try:
                remove_contents(self.path)
                self.path.rmdir()
            finally:
                os.close(lock)

    def read_record(self) -> Record | None:
        """The record of the sandbox that runs here, None if there is none (yet)."""
        try:
            document = json.loads((self.path / "sandbox.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return Record(**{**document, "nodes": tuple(document["nodes"])})

    def write_record(self, record: Record) -> None:
        """Publish the record, whole or not at all."""
        temporary = self.path / "sandbox.json.tmp"
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        temporary.replace(self.path / "sandbox.json")

    def _lock(self) -> int:
        while True:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                record = self.read_record()
                raise SandboxBusyError(self.path, record.pid if record else None) from None
            # Another may have removed the file between our opening and our locking it: then it locks nothing.
            if _same_file(descriptor, self.path / "lock"):
                return descriptor
            os.close(descriptor)


def sweep(parent: Path | None = None) -> list[Path]:
    """Remove the state directories of sandboxes that no longer run; those that were removed."""
    removed: list[Path] = []
    for path in sorted((parent or default_state_dir().parent).glob(f"{PREFIX}*")):
        if path.is_dir() and (path / "lock").exists():
            with contextlib.suppress(SandboxBusyError):
                StateDir(path).remove()
                removed.append(path)
    return removed


def remove_contents(path: Path, keep: tuple[str, ...] = ()) -> None:
    """Empty a directory. Raises StateError, having removed nothing, if a file system is mounted anywhere below it."""
    for mounted in _mount_points():
        if mounted.is_relative_to(path):
            raise StateError(f"{path}: {mounted} is mounted; unmount it before the directory is removed")
    for entry in path.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def process_start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/<pid>/stat); None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _mount_points() -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        yield Path(line.split()[4].encode().decode("unicode_escape"))

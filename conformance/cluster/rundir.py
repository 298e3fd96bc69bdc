"""The directory of one run: its ledger, its guests' keys, and whose it is, so that a later run can sweep it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.access.logins import Login, Logins
from conformance.cluster.provider import Mode
from conformance.guest.keys import GuestKeys
from conformance.kube.ledger import Ledger

APPLICATION = "kubevirt-binding-conformance"
RUN_LABEL = "binding-conformance/run"


def state_home() -> Path:
    """``$XDG_STATE_HOME`` or ``~/.local/state``, our directory in it."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / APPLICATION


@dataclass(frozen=True)
class RunInfo:
    """What another process needs to take part in a run, or to clean up after it. ``started`` is the process's start
    time in clock ticks since boot (``/proc/PID/stat`` field 22), which tells it from a later process with its pid."""

    id: str
    pid: int
    started: int
    mode: Mode
    kubeconfig: str
    context: str | None
    binding: str
    registrar: str = ""
    runner: str = ""
    namespaces: tuple[str, ...] = ()

    def logins(self) -> Logins:
        """Who undoes the run."""
        own = Login(self.kubeconfig, self.context)
        registrar, runner = (
            Login(file) if file not in ("", self.kubeconfig) else own for file in (self.registrar, self.runner)
        )
        return Logins(own, registrar, runner)


class RunDirectory:
    """``<state home>/runs/<id>``. The id is eight hex digits; it labels whatever the run makes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls) -> RunDirectory:
        """A new one, mode 0700."""
        path = state_home() / "runs" / secrets.token_hex(4)
        path.mkdir(parents=True, mode=0o700)
        return cls(path)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def discovery_cache(self) -> Path:
        """Where the dynamic client keeps the API's discovery documents."""
        return self.path / f"discovery-{os.getpid()}.json"

    def ledger(self, name: str) -> Ledger:
        """The ledger file of one process of the run."""
        return Ledger(self.path / "ledger", name)

    def keys(self) -> GuestKeys:
        """The run's keys, made on first use."""
        directory = self.path / "keys"
        if not (directory / "host.pub").exists():
            GuestKeys.generate().save(directory)
        return GuestKeys.load(directory)

    def name_of(self, purpose: str) -> str:
        """The name of a namespace or a policy of the run: ``kbc-<id>-<purpose>``."""
        return f"kbc-{self.id}-{purpose}"

    def describe(self, mode: Mode, logins: Logins, binding: Path, namespaces: tuple[str, ...] = ()) -> RunInfo:
        """Write ``run.json`` for this process: who undoes what the run makes, and where the runner does."""
        own = logins.installer
        info = RunInfo(
            id=self.id,
            pid=os.getpid(),
            started=start_time(os.getpid()),
            mode=mode,
            kubeconfig=own.kubeconfig,
            context=own.context,
            binding=str(binding),
            registrar=logins.registrar.kubeconfig,
            runner=logins.runner.kubeconfig,
            namespaces=namespaces,
        )
        (self.path / "run.json").write_text(json.dumps(asdict(info)), encoding="utf-8")
        return info

    def info(self) -> RunInfo | None:
        """What :meth:`describe` wrote, or None when the run never came that far."""
        try:
            fields = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
            return RunInfo(**{**fields, "namespaces": tuple(fields.get("namespaces", ()))})
        except (OSError, ValueError, TypeError):
            return None

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


_DEAD = ("Z", "X", "x")
"""States of a process that has ended and was not waited for yet."""


def all_runs() -> Iterator[RunDirectory]:
    """The directories of all runs of this user, finished ones excluded (they have none)."""
    for path in sorted((state_home() / "runs").glob("*")):
        if path.is_dir():
            yield RunDirectory(path)


def is_alive(info: RunInfo) -> bool:
    """Whether the run's own process still runs."""
    return start_time(info.pid) == info.started != 0


def start_time(pid: int) -> int:
    """The start time of a process in clock ticks since boot; 0 when there is none, or only what is left of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    # the command name may hold blanks and parentheses: count from the last one
    state, *fields = stat.rpartition(")")[2].split()
    return 0 if state in _DEAD else int(fields[18])

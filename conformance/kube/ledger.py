"""Everything a run makes, on disk before it is made, so that it is undone even after a SIGKILL.

A ledger is a directory with one append-only file per process (``<name>.jsonl``, one JSON object a line): the line
``making`` is on disk before the request that makes something, ``made`` adds the uid, ``undone`` closes it. What was
made last is undone first, across all processes of the run; objects are deleted by uid, so that a namesake is never
touched.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from conformance.kube.errors import KubeError
from conformance.kube.manifest import Kind, Ref


@dataclass(frozen=True)
class Record:
    """One thing to undo. ``how`` is ``delete`` or the name of another undo, with its ``arguments`` (JSON)."""

    id: str
    at: float
    ref: Ref
    how: str = "delete"
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.how} {self.ref}"


class Entry:
    """The open record of something being made."""

    def __init__(self, ledger: Ledger, record: Record) -> None:
        self._ledger, self.record = ledger, record

    def made(self, ref: Ref) -> None:
        """It exists now, under this name (``generateName``) and uid."""
        self.record = Record(self.record.id, self.record.at, ref, self.record.how, self.record.arguments)
        self._ledger.write({"op": "made", **_to_json(self.record)})

    def undone(self) -> None:
        """It has been undone, or was never made."""
        self._ledger.write({"op": "undone", "id": self.record.id})


class Ledger:
    """The ledger of one process; ``directory`` is shared by the processes of one run."""

    def __init__(self, directory: Path, name: str = "main") -> None:
        self.directory = directory
        self._path = directory / f"{name}.jsonl"
        self._lock = threading.Lock()
        self._count = 0
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def making(self, ref: Ref, how: str = "delete", **arguments: Any) -> Iterator[Entry]:
        """Record that ``ref`` is about to be made. Call ``made`` with its uid inside.

        When the request is refused by the API server nothing exists, and the record is closed; after any other failure
        (a lost connection) it stays open, and undoing finds out.
        """
        entry = Entry(self, Record(self._next_id(), time.time(), ref, how, arguments))
        self.write({"op": "making", **_to_json(entry.record)})
        try:
            yield entry
        except KubeError as error:
            if 400 <= getattr(error, "code", 0) < 500:
                entry.undone()
            raise

    def write(self, line: dict[str, Any]) -> None:
        """Append one line and wait until it is on the disk."""
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def open_records(self) -> list[Record]:
        """What the processes of this run made and have not undone, last made first."""
        records: dict[str, Record] = {}
        for path in sorted(self.directory.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                _replay(records, line)
        return sorted(records.values(), key=lambda record: record.at, reverse=True)

    def forget(self, ref: Ref) -> None:
        """The caller undid ``ref`` itself (by uid) and has seen it gone."""
        for record in self.open_records():
            if record.ref == ref:
                self.write({"op": "undone", "id": record.id})

    def _next_id(self) -> str:
        with self._lock:
            self._count += 1
            return f"{self._path.stem}-{os.getpid()}-{self._count}"


def _to_json(record: Record) -> dict[str, Any]:
    return asdict(record)


def _replay(records: dict[str, Record], line: str) -> None:
    try:
        entry = json.loads(line)
    except ValueError:  # the last line of a process that was killed while writing
        return
    if entry["op"] == "undone":
        records.pop(entry["id"], None)
        return
    ref = entry["ref"]
    named = Ref(Kind(**ref["kind"]), ref["name"], ref["namespace"], ref["uid"])
    records[entry["id"]] = Record(entry["id"], entry["at"], named, entry["how"], entry["arguments"])

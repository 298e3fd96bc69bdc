"""Undoing what a ledger has recorded: what was made last is undone first, and a failure does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.ledger import Ledger, Record

Undo = Callable[[Cluster, Record], None]


def delete_object(cluster: Cluster, record: Record) -> None:
    """The undo called ``delete``: by uid; a record without a uid was maybe never made, its name was ours alone."""
    if record.ref.name:
        cluster.delete(record.ref)


@dataclass(frozen=True)
class Undone:
    """The result of undoing a ledger: what was undone, and for each record that could not be, the error."""

    undone: tuple[Record, ...]
    failed: tuple[tuple[Record, str], ...]


def undo_all(
    ledger: Ledger, by: Callable[[Record], Cluster], undos: Mapping[str, Undo], gone: Callable[[Record], None]
) -> Undone:
    """Undo every open record, last made first; a failure does not stop the others, and its record stays open.

    ``by(record)`` is the connection that undoes it; ``gone(record)`` follows a deleted object until it has disappeared.
    It is called before anything is undone that is no object of its own (a registration must outlive the VMs that use
    it), and at the end.
    """
    done: list[Record] = []
    failed: list[tuple[Record, str]] = []
    deleted: list[Record] = []

    def settle() -> None:
        for record in deleted:
            with _noting(record, failed):
                gone(record)
        deleted.clear()

    for record in ledger.open_records():
        with _noting(record, failed):
            if record.how == "delete":
                delete_object(by(record), record)
                deleted.append(record)
            elif record.how in undos:
                settle()
                undos[record.how](by(record), record)
            else:
                raise KubeError(f"nobody knows how to undo {record.how!r}")
            done.append(record)
    settle()
    unfinished = {record.id for record, _ in failed}
    finished = tuple(record for record in done if record.id not in unfinished)
    for record in finished:
        ledger.write({"op": "undone", "id": record.id})
    return Undone(finished, tuple(failed))


@contextmanager
def _noting(record: Record, failed: list[tuple[Record, str]]) -> Iterator[None]:
    try:
        yield
    except KubeError as error:
        failed.append((record, str(error)))

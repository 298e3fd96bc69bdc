"""The store: immutable objects, one growing revision, and the history that watches start from.

Single writer: everything runs in one event loop and no method awaits, so a read followed by a write is atomic.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.resources import ResourceKey

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
ObjectName = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-wide kinds."""


@dataclass(eq=False)
class Change:
    """One write: the object after it (for DELETED: its last state) and the one before it (None for ADDED)."""

    revision: int
    key: ResourceKey
    type: ChangeType
    object: KubeObject
    previous: KubeObject | None
    size: int = 0
    """Bytes of the object as JSON (set when it is published)."""
    encoded: dict[str, bytes] = field(default_factory=dict)
    """Event lines as they go over the wire, by apiVersion: encoded once, sent to every watcher."""


@dataclass(frozen=True)
class _Record:
    """A change in history, as bytes: a tenth of the memory of the decoded objects."""

    revision: int
    key: ResourceKey
    type: ChangeType
    object: bytes
    previous: bytes | None

    def change(self) -> Change:
        previous = None if self.previous is None else orjson.loads(self.previous)
        return Change(self.revision, self.key, self.type, orjson.loads(self.object), previous)


class History:
    """The latest changes, bounded in number and in bytes."""

    def __init__(self, max_records: int = 10_000, max_bytes: int = 16 << 20) -> None:
        self._records: deque[_Record] = deque()
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self.compacted = 0
        """Changes up to this revision are forgotten; a watch from an older one is refused."""

    def append(self, change: Change) -> None:
        """Remember a change, forgetting the oldest ones beyond the bounds."""
        previous = None if change.previous is None else orjson.dumps(change.previous)
        record = _Record(change.revision, change.key, change.type, orjson.dumps(change.object), previous)
        change.size = len(record.object)
        self._records.append(record)
        self._bytes += len(record.object) + len(record.previous or b"")
        while len(self._records) > self._max_records or self._bytes > self._max_bytes:
            oldest = self._records.popleft()
            self._bytes -= len(oldest.object) + len(oldest.previous or b"")
            self.compacted = oldest.revision

    def since(self, revision: int, key: ResourceKey) -> Iterator[Change]:
        """The changes of one resource type after a revision, in order."""
        for record in list(self._records):
            if record.revision > revision and record.key == key:
                yield record.change()


class Watcher:
    """A queue of changes for one watch, bounded in number and in bytes.

    When its reader falls behind by more, the queue is emptied and `overflowed` is set: the reader must end the watch,
    and the client lists again. So a slow client costs a bounded amount of memory.
    """

    def __init__(self, max_changes: int = 2_000, max_bytes: int = 8 << 20) -> None:
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queue: deque[Change] = deque()
        self._ready = asyncio.Event()
        self.overflowed = False

    def offer(self, change: Change) -> None:
        """Queue a change (called by the store)."""
        if self.overflowed:
            return
        self._queue.append(change)
        self._bytes += change.size
        if len(self._queue) > self._max_changes or self._bytes > self._max_bytes:
            self._queue.clear()
            self.overflowed = True
        self._ready.set()

    async def take(self, timeout_seconds: float) -> list[Change]:
        """Everything that is queued, waiting up to the timeout for something; empty when nothing came."""
        try:
            async with asyncio.timeout(max(timeout_seconds, 0)):
                await self._ready.wait()
        except TimeoutError:
            return []
        self._ready.clear()
        taken = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        return taken


class Store:
    """All objects by resource type and name."""

    def __init__(self, history: History | None = None) -> None:
        self.revision = 1
        self.history = history or History()
        self._objects: dict[ResourceKey, dict[ObjectName, KubeObject]] = {}
        self._watchers: dict[ResourceKey, set[Watcher]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def get(self, key: ResourceKey, namespace: str, name: str) -> KubeObject | None:
        """The stored object or None. Shared: never change it."""
        return self._objects.get(key, {}).get((namespace, name))

    def list(self, key: ResourceKey, namespace: str | None = None) -> list[KubeObject]:
        """All objects of a type, or of one namespace, by namespace and name."""
        objects = self._objects.get(key, {})
        return [objects[at] for at in sorted(objects) if namespace is None or at[0] == namespace]

    def put(self, key: ResourceKey, obj: KubeObject) -> KubeObject:
        """Store an object under the next revision; returns it, now owned by the store."""
        at = _name_of(obj)
        objects = self._objects.setdefault(key, {})
        previous = objects.get(at)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        objects[at] = obj
        self._publish(Change(self.revision, key, "ADDED" if previous is None else "MODIFIED", obj, previous))
        return obj

    def remove(self, key: ResourceKey, obj: KubeObject) -> KubeObject:
        """Remove an object; returns its last state, with the revision of the removal."""
        previous = self._objects[key].pop(_name_of(obj))
        self.revision += 1
        last = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        self._publish(Change(self.revision, key, "DELETED", last, previous))
        return last

    def watch(self, key: ResourceKey) -> Watcher:
        """Start to collect the changes of a resource type; end with `unwatch`."""
        watcher = Watcher()
        self._watchers.setdefault(key, set()).add(watcher)
        return watcher

    def unwatch(self, key: ResourceKey, watcher: Watcher) -> None:
        """Stop collecting."""
        self._watchers.get(key, set()).discard(watcher)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call a function, at once and in the loop, for every change of any type."""
        self._listeners.append(listener)

    def _publish(self, change: Change) -> None:
        self.history.append(change)
        for watcher in self._watchers.get(change.key, ()):
            watcher.offer(change)
        for listener in self._listeners:
            listener(change)


def _name_of(obj: KubeObject) -> ObjectName:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]

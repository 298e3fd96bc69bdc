"""Informers and controllers: list, watch, and reconcile by key, level-triggered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

import aiohttp

from conformance.sandbox.client import ApiClient, ApiError, Object, Resource, WatchExpiredError

log = logging.getLogger(__name__)

_RECONNECT_SECONDS: Final = 0.2
_FIRST_BACKOFF_SECONDS: Final = 0.25
_LAST_BACKOFF_SECONDS: Final = 10.0
_PAUSED_SECONDS: Final = 0.5


class Key(NamedTuple):
    """Identity of an object within its resource; cluster-scoped objects have an empty namespace."""

    namespace: str
    name: str


def key_of(obj: Object) -> Key:
    return Key(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


class Informer:
    """A local copy of one resource, kept current by a watch; tells its listeners each change.

    A listener gets the new object, or the last known one with `deleted` true.
    """

    def __init__(self, client: ApiClient, resource: Resource) -> None:
        self._client, self._resource = client, resource
        self._objects: dict[Key, Object] = {}
        self._listeners: list[Callable[[Object, bool], None]] = []
        self.synced = asyncio.Event()

    def listen(self, listener: Callable[[Object, bool], None]) -> None:
        self._listeners.append(listener)
        for obj in self._objects.values():
            listener(obj, False)

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get(Key(namespace, name))

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def remember(self, obj: Object) -> None:
        """Take in an object this process has just written, so that it is not missed before its event comes."""
        known = self._objects.get(key_of(obj))
        if known is None or int(known["metadata"]["resourceVersion"]) < int(obj["metadata"]["resourceVersion"]):
            self._objects[key_of(obj)] = obj

    def _store(self, obj: Object, deleted: bool) -> None:
        known = self._objects.get(key_of(obj))
        if known is not None and int(known["metadata"]["resourceVersion"]) > int(obj["metadata"]["resourceVersion"]):
            return
        if deleted:
            self._objects.pop(key_of(obj), None)
        else:
            self._objects[key_of(obj)] = obj
        for listener in self._listeners:
            listener(obj, deleted)

    async def run(self) -> None:
        """List and watch until cancelled; a broken connection is taken up again."""
        while True:
            try:
                objects, version = await self._client.list(self._resource)
                self._replace(objects)
                self.synced.set()
                await self._follow(version)
            except (aiohttp.ClientError, ApiError, WatchExpiredError, TimeoutError) as error:
                log.debug("%s: watch ended: %s", self._resource.plural, error)
                await asyncio.sleep(_RECONNECT_SECONDS)

    def _replace(self, objects: list[Object]) -> None:
        fresh = {key_of(obj): obj for obj in objects}
        for key in [key for key in self._objects if key not in fresh]:
            self._store(self._objects[key], True)
        for key, obj in fresh.items():
            if self._objects.get(key) != obj:
                self._store(obj, False)

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._client.watch(self._resource, version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    self._store(event.object, event.type == "DELETED")


class Controller:
    """Reconciles keys one at a time each, many at once, again with growing delay after an error.

    `reconcile(key)` returns the seconds after which it wants to run again, or None.
    """

    def __init__(self, name: str, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        self.name, self._reconcile = name, reconcile
        self._running: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._paused = False

    def watch(self, informer: Informer, keys: Callable[[Object], Iterator[Key] | list[Key]] | None = None) -> None:
        """Enqueue for every change in `informer`: the object's own key, or those `keys` derives from it."""

        def on_change(obj: Object, deleted: bool) -> None:
            for key in [key_of(obj)] if keys is None else keys(obj):
                self.enqueue(key)

        informer.listen(on_change)

    def enqueue(self, key: Key) -> None:
        if self._stopped:
            return
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._running:
            self._dirty.add(key)
            return
        self._running.add(key)
        task = asyncio.get_running_loop().create_task(self._work(key), name=f"{self.name} {key.namespace}/{key.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, key: Key) -> None:
        delay: float | None = None
        try:
            delay = _PAUSED_SECONDS if self._paused else await self._reconcile(key)
            self._failures.pop(key, None)
        except ApiError as error:
            delay = self._backoff(key)
            log.log(logging.DEBUG if error.conflict else logging.WARNING, "%s %s: %s", self.name, key, error)
        except aiohttp.ClientError as error:
            delay = self._backoff(key)
            log.debug("%s %s: %s", self.name, key, error)
        except Exception:  # a controller outlives the failure of one object, as controllers do
            delay = self._backoff(key)
            log.exception("%s %s: reconcile failed", self.name, key)
        finally:
            self._running.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.enqueue(key)
        elif delay is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(delay, self.enqueue, key)

    def _backoff(self, key: Key) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(_FIRST_BACKOFF_SECONDS * 2**failures, _LAST_BACKOFF_SECONDS))

    async def pause(self) -> None:
        """Begin with no key any more, and keep them."""
        self._paused = True

    async def resume(self) -> None:
        """Go on, with what has been kept too."""
        self._paused = False

    async def stop(self) -> None:
        """Cancel what runs and take no more keys."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

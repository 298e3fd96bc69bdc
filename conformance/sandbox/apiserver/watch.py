"""Watches: a stream of change events, one JSON line each.

Source: Kubernetes documentation, "API concepts" (Efficient detection of changes, Watch bookmarks, Streaming lists).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from aiohttp import web

from conformance.sandbox.apiserver.errors import KubeObject, StatusError, bad_request, expired
from conformance.sandbox.apiserver.requests import flag, number
from conformance.sandbox.apiserver.resources import Resource
from conformance.sandbox.apiserver.selectors import Predicate
from conformance.sandbox.apiserver.store import Change, Store, Watcher
from conformance.sandbox.apiserver.table import Shape, partial, table

BOOKMARK_SECONDS = 60
WRITE_SECONDS = 15
"""How long a client may refuse to read before its watch is cut."""

_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class WatchRequest:
    """The parameters of one watch. `since` is the revision to start after, None to start with what exists."""

    resource: Resource
    selects: Predicate
    shape: Shape
    include: str
    since: int | None
    send_initial: bool
    announce_end: bool
    bookmarks: bool
    timeout_seconds: float


def parse_watch(request: web.Request, resource: Resource, selects: Predicate, shape: Shape) -> WatchRequest:
    """Read the parameters of a watch. StatusError 400 or 422 for garbage."""
    text = request.query.get("resourceVersion", "")
    if text and not (text.isascii() and text.isdigit()):
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    bookmarks = flag(request, "allowWatchBookmarks")
    initial = flag(request, "sendInitialEvents")
    if initial and request.query.get("resourceVersionMatch") != "NotOlderThan":
        raise StatusError(
            422,
            "Invalid",
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires '
            "setting resourceVersionMatch to NotOlderThan",
        )
    wants_none = "sendInitialEvents" in request.query and not initial
    legacy_initial = text in ("", "0") and not wants_none
    return WatchRequest(
        resource=resource,
        selects=selects,
        shape=shape,
        include=request.query.get("includeObject", "Metadata"),
        since=int(text) if text not in ("", "0") else None,
        send_initial=initial or legacy_initial,
        announce_end=initial and bookmarks,
        bookmarks=bookmarks,
        timeout_seconds=number(request, "timeoutSeconds") or random.randint(1_800, 3_600),
    )


class WatchStream:
    """Serves one watch over one HTTP response."""

    def __init__(self, store: Store, wanted: WatchRequest) -> None:
        self._store = store
        self._wanted = wanted
        self._columns_sent = False
        self._response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Run until the timeout, until the client goes or until it reads too slowly."""
        self._response.enable_chunked_encoding()
        watcher = self._store.watch(self._wanted.resource.key)
        try:
            start = self._store.revision
            backlog = self._backlog()
            await self._response.prepare(request)
            await self._write(backlog)
            await self.follow(watcher, start)
            await self._response.write_eof()
        except StatusError as error:
            await self._write([_line("ERROR", error.body())])
            await self._response.write_eof()
        except TimeoutError:
            if request.transport:
                request.transport.abort()
        except ConnectionError:
            pass  # the client went away, which is how most watches end
        finally:
            self._store.unwatch(self._wanted.resource.key, watcher)
        return self._response

    def _backlog(self) -> list[bytes]:
        """What the client gets at once: the present objects, or the changes since its revision."""
        wanted, history = self._wanted, self._store.history
        lines: list[bytes] = []
        if wanted.send_initial:
            objects = filter(wanted.selects, self._store.list(wanted.resource.key))
            lines = [self._render("ADDED", obj) for obj in objects]
            if wanted.announce_end:
                lines.append(self._bookmark(_INITIAL_EVENTS_END))
        elif wanted.since is not None:
            if wanted.since < history.compacted:
                text = f"too old resource version: {wanted.since} ({history.compacted + 1})"
                return [_line("ERROR", expired(text).body())]
            lines = [self._event(change) for change in history.since(wanted.since, wanted.resource.key)]
        return lines

    async def follow(self, watcher: Watcher, start: int) -> None:
        """Send changes after a revision, and bookmarks, until the timeout; StatusError 410 for a slow reader."""
        end = time.monotonic() + self._wanted.timeout_seconds
        next_bookmark = time.monotonic() + BOOKMARK_SECONDS if self._wanted.bookmarks else end
        while (present := time.monotonic()) < end:
            if present >= next_bookmark:
                next_bookmark = present + BOOKMARK_SECONDS
                await self._write([self._bookmark({})])
            changes = await watcher.take(min(end, next_bookmark) - present)
            if watcher.overflowed:
                raise expired("too many changes were not read in time; list again")
            await self._write(self._event(change) for change in changes if change.revision > start)

    async def _write(self, lines: Iterable[bytes]) -> None:
        data = b"".join(lines)
        if data:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._response.write(data)

    def _event(self, change: Change) -> bytes:
        """A change as this watch sees it: objects enter and leave its selection; b"" for none of its business."""
        selects = self._wanted.selects
        after = change.type != "DELETED" and selects(change.object)
        before = change.previous is not None and selects(change.previous)
        if after and before:
            return self._render("MODIFIED", change.object, change)
        if after:
            return self._render("ADDED", change.object, change if change.type == "ADDED" else None)
        if not before or change.previous is None:
            return b""
        if change.type == "DELETED":
            return self._render("DELETED", change.object, change)
        metadata = {**change.previous["metadata"], "resourceVersion": change.object["metadata"]["resourceVersion"]}
        return self._render("DELETED", {**change.previous, "metadata": metadata})

    def _render(self, kind: str, obj: KubeObject, shared: Change | None = None) -> bytes:
        """One event line. Plain events of a change are encoded once for all watchers."""
        resource = self._wanted.resource
        if self._wanted.shape == "table":
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            rows = table(resource, [obj], metadata, self._wanted.include, columns=not self._columns_sent)
            self._columns_sent = True
            return _line(kind, rows)
        if self._wanted.shape == "metadata":
            return _line(kind, partial(obj))
        if shared is None:
            return _line(kind, resource.present(obj))
        if resource.api_version not in shared.encoded:
            shared.encoded[resource.api_version] = _line(kind, resource.present(obj))
        return shared.encoded[resource.api_version]

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        metadata: KubeObject = {"resourceVersion": str(self._store.revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        resource = self._wanted.resource
        return _line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _line(kind: str, obj: KubeObject) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"

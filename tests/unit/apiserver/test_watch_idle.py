"""A watch on which nothing happens sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from conformance.sandbox.apiserver import watch
from conformance.sandbox.apiserver.builtin import load_builtin
from conformance.sandbox.apiserver.store import Change, Store, Watcher
from conformance.sandbox.apiserver.watch import WatchRequest, WatchStream


class CountingWatcher(Watcher):
    """Counts how often it is asked."""

    asked = 0

    async def take(self, timeout_seconds: float) -> list[Change]:
        self.asked += 1
        return await super().take(timeout_seconds)


@pytest.mark.parametrize(("bookmarks", "most_asked"), [(False, 2), (True, 8)])
def test_idle_watch_wakes_for_bookmarks_only(monkeypatch: pytest.MonkeyPatch, bookmarks: bool, most_asked: int) -> None:
    """Preconditions: bookmarks every 50 ms. Steps: watch for 300 ms. Expected: a wake-up per bookmark, else none."""
    monkeypatch.setattr(watch, "BOOKMARK_SECONDS", 0.05)
    sent: list[bytes] = []

    async def keep(stream: WatchStream, lines: Iterable[bytes]) -> None:
        sent.extend(line for line in lines if line)

    monkeypatch.setattr(WatchStream, "_write", keep)
    wanted = WatchRequest(
        resource=load_builtin()[0],
        selects=lambda obj: True,
        shape="object",
        include="",
        since=None,
        send_initial=False,
        announce_end=False,
        bookmarks=bookmarks,
        timeout_seconds=0.3,
    )

    async def follow() -> int:
        watcher = CountingWatcher()
        await WatchStream(Store(), wanted).follow(watcher, 0)
        return watcher.asked

    assert 1 <= asyncio.run(follow()) <= most_asked
    assert bool(sent) is bookmarks

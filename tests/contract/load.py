"""Many objects and many watches at a time, and what they cost. Bounded in number, to a server of our own."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from urllib3.exceptions import HTTPError

from tests.contract.harness import Api

CLIENTS = 4


@dataclass
class Watcher:
    """One watch of so many events. `arrivals` are the times (monotonic, seconds) of those that came, in order."""

    stream: Any
    events: int
    arrivals: list[float] = field(default_factory=list)

    def follow(self) -> None:
        """Count events until all have come, or none comes for the client's own time-out."""
        with contextlib.closing(self.stream), contextlib.suppress(HTTPError):
            for chunk in self.stream.stream(1 << 16):
                now = time.monotonic()
                self.arrivals += [now] * chunk.count(b"\n")
                if len(self.arrivals) >= self.events:
                    return


@contextmanager
def watchers(api: Api, path: str, count: int, events: int) -> Iterator[list[Watcher]]:
    """That many watches of a collection from now on, each read by a thread until it has so many events."""
    version = api.get(path).expect(200)["metadata"]["resourceVersion"]
    query = [("watch", "true"), ("resourceVersion", version)]
    made = [Watcher(api.raw("GET", path, query, stream=True), events) for _ in range(count)]
    threads = [threading.Thread(target=watcher.follow, daemon=True) for watcher in made]
    for thread in threads:
        thread.start()
    yield made
    for thread in threads:
        thread.join(20)


def create_many(api: Api, path: str, prefix: str, count: int) -> list[float]:
    """Create ConfigMaps from a few clients at once; the seconds that each request took."""

    def create(number: int) -> float:
        begun = time.monotonic()
        api.post(path, {"metadata": {"name": f"{prefix}-{number}"}, "data": {"n": str(number)}}).expect(201)
        return time.monotonic() - begun

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(create, range(count)))


def percentile(values: Sequence[float], rank: int) -> float:
    """The value that `rank` percent of them do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]

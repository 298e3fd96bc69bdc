"""Figures of the API server alone: requests per second, latencies, and memory by number of objects."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.contract.harness import DEFINITIONS, Api, sandbox_server
from tests.contract.load import create_many, percentile, watchers

OBJECTS, TIMED, TOUCHES, WATCHES = 10_000, 1_000, 100, 10
PATH = "/api/v1/namespaces/default/configmaps"


def bench_api(figure: Callable[[str, float, str], None]) -> None:
    """Print every figure; about a minute."""
    with tempfile.TemporaryDirectory(prefix="kbc-bench-") as name:
        directory = Path(name)
        definitions = [str(path) for path in sorted(DEFINITIONS.glob("*.yaml"))]
        with sandbox_server(directory, directory / "no.sock", "--crds", *definitions) as server:
            api = Api(server.kubeconfig)
            figure("API: memory without objects", server.resident_mebibytes(), "MiB")
            with watchers(api, PATH, WATCHES, TIMED + TOUCHES) as watching:
                begun = time.monotonic()
                taken = create_many(api, PATH, "timed", TIMED)
                figure(f"API: creates with {WATCHES} watches", TIMED / (time.monotonic() - begun), "/s")
                while any(len(one.arrivals) < TIMED for one in watching):
                    time.sleep(0.01)
                figure("API: create p50", 1000 * percentile(taken, 50), "ms")
                figure("API: create p99", 1000 * percentile(taken, 99), "ms")
                seconds = _latencies(api, watching[-1].arrivals)
                for rank in (50, 99):
                    figure(f"API: one write to the last watch, p{rank}", 1000 * percentile(seconds, rank), "ms")
            create_many(api, PATH, "many", OBJECTS - TIMED)
            figure(f"API: memory with {OBJECTS} objects", server.resident_mebibytes(), "MiB")
            begun = time.monotonic()
            api.get(PATH).expect(200)
            figure(f"API: list of {OBJECTS} objects", time.monotonic() - begun, "s")


def _latencies(api: Api, arrivals: list[float]) -> list[float]:
    """Seconds from sending a write to its event's arrival, one write at a time."""
    seconds = []
    for number in range(TOUCHES):
        seen, sent = len(arrivals), time.monotonic()
        api.patch(f"{PATH}/timed-0", {"data": {"again": str(number)}}).expect(200)
        while len(arrivals) == seen:
            time.sleep(0.0005)
        seconds.append(arrivals[-1] - sent)
    return seconds

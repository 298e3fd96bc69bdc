"""The server as a process: start, end, size and bad arguments."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import DEFINITIONS, ROOT, Api, Sandbox, command, sandbox_server

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short-named directory."""
    with tempfile.TemporaryDirectory(prefix="kbc-contract-") as name:
        yield Path(name)


def test_server_is_up_quickly_and_small(sandbox: Sandbox) -> None:
    assert sandbox.started_seconds < 5
    assert sandbox.resident_mebibytes() < 160  # after all that the other tests did to it


def test_server_ends_with_its_owner(sandbox: Sandbox, directory: Path) -> None:
    definitions = [str(path) for path in DEFINITIONS.glob("*.yaml")]
    with sandbox_server(directory, directory / "no.sock", "--crds", *definitions) as server:
        assert Api(server.kubeconfig).get("/version").expect(200)["gitVersion"] == "v1.36.2"
        assert server.resident_mebibytes() < 90
    assert server.process.returncode == 0


def test_server_ends_on_sigterm_with_watches_open(sandbox: Sandbox, directory: Path) -> None:
    with sandbox_server(directory, directory / "no.sock") as server:
        api = Api(server.kubeconfig)
        watching = api.raw("GET", "/api/v1/pods", [("watch", "true")], stream=True)
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
        assert time.monotonic() - begin < 3
        watching.close()


def test_absent_backend_is_unavailable(sandbox: Sandbox, directory: Path) -> None:
    with sandbox_server(directory, directory / "no.sock", "--server-version", "v1.30.4") as server:
        api = Api(server.kubeconfig)
        assert api.get("/version").expect(200)["minor"] == "30"
        path = "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/a/console"
        api.get(path).refused(503, "ServiceUnavailable")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--admission", "no.such.module:f"], "--admission no.such.module:f"),
        (["--admission", "json:nothing"], "--admission json:nothing"),
        (["--crds", "/no/such/file.yaml"], "/no/such/file.yaml"),
        (["--crds", __file__], "test_api_process.py"),
    ],
)
def test_bad_argument_is_named(sandbox: Sandbox, directory: Path, arguments: list[str], text: str) -> None:
    line = command(directory, directory / "no.sock", *arguments)
    ended = subprocess.run(
        line, capture_output=True, text=True, timeout=20, cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    )
    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_many_writers_lose_nothing(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    """Concurrent increments under optimistic locking all count."""
    path = f"{widgets.path}/{name}"
    api.post(widgets.path, widgets.body(name, {"size": 1, "opaque": {"count": 0}})).expect(201)

    def increment() -> None:
        own = Api(sandbox.kubeconfig)
        done = 0
        while done < 10:
            current = own.get(path).expect(200)
            current["spec"]["opaque"]["count"] += 1
            done += own.put(path, current).status == 200

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert api.get(path).expect(200)["spec"]["opaque"]["count"] == 40


def test_raw_garbage_does_not_hurt(api: Api, sandbox: Sandbox) -> None:
    for path in ("/api", "/apis//v1", "/api/v1/namespaces/%2F/pods/%00", "/apis/a/b/c/d/e/f/g/h", "/%zz", "//"):
        found = api.raw("GET", path)
        assert found.status in (200, 400, 404), path
        if found.status != 200 and found.headers.get("Content-Type", "").startswith("application/json"):
            assert json.loads(found.data)["kind"] == "Status"
    assert api.get("/readyz").status == 200

"""What the contract suite runs with: an API spoken to raw, and a sandbox API server to speak to."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import client, config

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "conformance" / "sandbox" / "kubevirt" / "crds"

Body = dict[str, Any]
Query = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer with its decoded body."""

    status: int
    body: Any
    headers: Mapping[str, str]

    def expect(self, status: int) -> Any:
        """The body, after the status was checked."""
        assert self.status == status, f"want {status}, got {self.status}: {self.body}"
        return self.body

    def refused(self, status: int, reason: str) -> Body:
        """The Status body of a refusal, after code and reason were checked."""
        body: Body = self.expect(status)
        assert (body["kind"], body["status"], body["code"]) == ("Status", "Failure", status)
        assert body.get("reason") == reason, body
        return body


class Api:
    """An API spoken to with plain requests, over the official client's connection."""

    def __init__(self, kubeconfig: Path) -> None:
        load: Callable[[str], Any] = config.new_client_from_config
        self.client = load(str(kubeconfig))
        self.host: str = self.client.configuration.host

    def _headers(self) -> dict[str, str]:
        settings = self.client.configuration.auth_settings().values()
        return {
            entry["key"]: entry["value"] for entry in settings if entry.get("in") == "header" and entry.get("value")
        }

    def raw(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        data: bytes | None = None,
        stream: bool = False,
        **headers: str,
    ) -> Any:
        """A urllib3 response. Header names are given with underscores."""
        url = self.host + path + ("?" + urlencode(list(query)) if query else "")
        sent = {**self._headers(), **{name.replace("_", "-"): value for name, value in headers.items()}}
        pool = self.client.rest_client.pool_manager
        return pool.request(
            method, url, headers=sent, body=data, preload_content=not stream, timeout=15.0, retries=False
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Query = (),
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """Send a request with a JSON body and decode the answer."""
        data = None if body is None else json.dumps(body).encode()
        found = self.raw(method, path, query, data=data, Content_Type=content_type, Accept=accept)
        try:
            decoded = json.loads(found.data)
        except ValueError:
            decoded = found.data
        return Answer(found.status, decoded, found.headers)

    def get(self, path: str, query: Query = (), accept: str = "application/json") -> Answer:
        """GET."""
        return self.request("GET", path, None, query, accept=accept)

    def post(self, path: str, body: object, query: Query = ()) -> Answer:
        """POST."""
        return self.request("POST", path, body, query)

    def put(self, path: str, body: object, query: Query = ()) -> Answer:
        """PUT."""
        return self.request("PUT", path, body, query)

    def patch(self, path: str, body: object, content_type: str = MERGE_PATCH, query: Query = ()) -> Answer:
        """PATCH, a merge patch unless said otherwise."""
        return self.request("PATCH", path, body, query, content_type=content_type)

    def apply(self, path: str, body: object, manager: str, *, force: bool = False) -> Answer:
        """Server-side apply."""
        query = [("fieldManager", manager), ("force", str(force).lower())]
        return self.patch(path, body, APPLY_PATCH, query)

    def delete(self, path: str, body: object = None, query: Query = ()) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, body, query)

    def watch(
        self, path: str, query: Query, stop: Callable[[list[Body]], bool] = lambda events: False, accept: str = ""
    ) -> list[Body]:
        """The events of a watch, until `stop` is satisfied or the server ends it."""
        found = self.raw("GET", path, [("watch", "true"), *query], stream=True, Accept=accept or "application/json")
        events: list[Body] = []
        try:
            if found.status != 200:
                return [{"type": "HTTP", "object": json.loads(found.read())}]
            rest = b""
            for chunk in found.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                events += [json.loads(line) for line in lines if line]
                if stop(events):
                    break
        finally:
            found.close()
        return events

    def typed(self) -> Any:
        """The official typed client of the core group."""
        make: Callable[[Any], Any] = client.CoreV1Api
        return make(self.client)


def eventually(describe: str, probe: Callable[[], object], seconds: float = 10) -> None:
    """Ask again, twenty times a second, until `probe` answers with something true."""
    end = time.monotonic() + seconds
    seen: object = None
    while time.monotonic() < end:
        seen = probe()
        if seen:
            return
        select.select([], [], [], 0.05)
    raise AssertionError(f"{describe} did not come true in {seconds} s; last seen: {seen!r}")


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox API server."""

    process: subprocess.Popen[str]
    directory: Path
    backend: Path
    url: str
    started_seconds: float

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "admin.kubeconfig"

    def resident_mebibytes(self) -> float:
        """Resident memory of the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def command(directory: Path, backend: Path, *arguments: str) -> list[str]:
    """The command line of a server."""
    module = [sys.executable, "-m", "conformance.sandbox.apiserver"]
    return [*module, "--directory", str(directory), "--backend", str(backend), *arguments]


@contextmanager
def sandbox_server(directory: Path, backend: Path, *arguments: str) -> Iterator[Sandbox]:
    """A server that ends with the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.monotonic()
    with subprocess.Popen(
        command(directory, backend, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=directory,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            ready, _, _ = select.select([process.stdout], [], [], 15)
            line = process.stdout.readline() if ready else ""
            assert line.startswith("ready https://127.0.0.1:"), f"the server said {line!r}"
            yield Sandbox(process, directory, backend, line.split()[1], time.monotonic() - begin)
        finally:
            process.stdin.close()
            process.wait(10)

"""A small container registry on loopback: the read side of the distribution API, with the usual anonymous token."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "anonymous-token"


@dataclass
class Registry:
    """``manifests`` by ``path:tag``, ``files`` by path; ``lies`` are tags whose header names another digest."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    lies: set[str] = field(default_factory=set)
    wants: str = "token"
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, name: str) -> str:
        """A manifest of its own for ``path:tag``; its digest."""
        body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "of": name})
        self.manifests[name] = body.encode()
        return "sha256:" + hashlib.sha256(self.manifests[name]).hexdigest()


@contextmanager
def registry_server() -> Iterator[Registry]:
    """The registry, for as long as the block lasts."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append(self.path)
            if self.path.startswith("/token"):
                self._answer(200, json.dumps({"token": TOKEN}).encode())
                return
            if self.path.lstrip("/") in registry.files:
                self._answer(200, registry.files[self.path.lstrip("/")])
                return
            if registry.wants and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                realm = f'Bearer realm="http://{registry.host}/token",service="r",scope="pull"'
                self._answer(
                    401, b"{}", {"WWW-Authenticate": realm if registry.wants == "token" else 'Basic realm="r"'}
                )
                return
            path, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
            body = registry.manifests.get(f"{path}:{tag}")
            if body is None:
                self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
                return
            digest = "0" * 64 if tag in registry.lies else hashlib.sha256(body).hexdigest()
            self._answer(200, body, {"Docker-Content-Digest": f"sha256:{digest}"})

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="registry")
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()

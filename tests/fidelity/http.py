"""Requests as the recorded driver made them: any method and path, the answer's code and body kept as they came.

The official client brings CA, client certificate and token from the kubeconfig; its typed calls would hide refusals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes.client import ApiClient

from conformance.kube.official import configuration
from tests.fidelity.recording import Json, Object, mapping

CALL_SECONDS = 60.0
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Reply:
    """`body` is the JSON object that came, or `{"raw": text}` when it was none."""

    code: int
    body: Object
    warning: str | None = None


class Api:
    """One API server, by its kubeconfig. Safe to use from several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        self.configuration = configuration(kubeconfig, None)
        self._pool = ApiClient(self.configuration).rest_client.pool_manager

    def send(
        self, method: str, path: str, body: Json = None, *, content: str = "application/json", accept: str = "*/*"
    ) -> Reply:
        """One request. Raises urllib3.exceptions.HTTPError when no answer came."""
        headers = {**self.authorization(), "Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content
            data = json.dumps(body)
        answer = self._pool.request(
            method, self.configuration.host + path, headers=headers, body=data, timeout=CALL_SECONDS, retries=False
        )
        return Reply(int(answer.status), _object(bytes(answer.data)), answer.headers.get("Warning"))

    def merge(self, path: str, patch: Object) -> Reply:
        """An RFC 7386 patch."""
        return self.send("PATCH", path, patch, content=_MERGE)

    def lines(self, path: str, read_timeout: float) -> Iterator[Object]:
        """The JSON objects of a streaming answer, one a line, until the server ends it or stays silent."""
        answer = self._pool.request(
            "GET",
            self.configuration.host + path,
            headers={**self.authorization(), "Accept": "application/json"},
            preload_content=False,
            timeout=urllib3.Timeout(connect=CALL_SECONDS, read=read_timeout),
            retries=False,
        )
        try:
            rest = b""
            for chunk in answer.stream(None, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (_object(line) for line in whole if line.strip())
        finally:
            answer.close()

    def authorization(self) -> dict[str, str]:
        """The headers that say who we are; none with a client certificate."""
        settings: Mapping[str, Mapping[str, str]] = cast("Mapping[str, Any]", self.configuration.auth_settings())
        in_header = [entry for entry in settings.values() if entry.get("in") == "header" and entry.get("value")]
        return {entry["key"]: entry["value"] for entry in in_header}


def _object(data: bytes) -> Object:
    text = data.decode("utf-8", "replace")
    try:
        value: Json = json.loads(text)
    except ValueError:
        return {"raw": text} if text else {}
    return mapping(value)

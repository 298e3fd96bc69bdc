"""The audit log: every request of a resource is in it, with its user, verb, object and answer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.harness import Api, Sandbox, sandbox_server

pytestmark = pytest.mark.since(kubernetes="1.26")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short-named directory."""
    with tempfile.TemporaryDirectory(prefix="kbc-audit-") as name:
        yield Path(name)


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(path: Path) -> list[tuple[str, str, int, str]]:
    """Verb, resource (with its subresource), status code and stage."""
    found = []
    for event in events(path):
        ref = event["objectRef"]
        what = "/".join(filter(None, (ref["resource"], ref.get("subresource", ""))))
        found.append((event["verb"], what, event["responseStatus"]["code"], event["stage"]))
    return found


def test_every_request_of_a_resource_is_noted(sandbox: Sandbox, directory: Path) -> None:
    log = directory / "audit.log"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    with sandbox_server(directory, directory / "no.sock", "--audit-log-path", str(log)) as server:
        api, path = Api(server.kubeconfig), "/api/v1/namespaces/default/configmaps"
        api.get("/version").expect(200)
        api.post(path, body).expect(201)
        api.patch(f"{path}/a", {"data": {"k": "v"}}).expect(200)
        api.get(f"{path}/missing").expect(404)
        api.get(path).expect(200)
        api.get("/api/v1/namespaces/default/pods/none/log").expect(404)
        watching = api.raw("GET", path, [("watch", "true")], stream=True)
        watching.close()
        api.delete(f"{path}/a").expect(200)
    complete = "ResponseComplete"
    assert said(log)[:4] == [
        ("create", "configmaps", 201, complete),
        ("patch", "configmaps", 200, complete),
        ("get", "configmaps", 404, complete),
        ("list", "configmaps", 200, complete),
    ]
    assert ("get", "pods/log", 404, complete) in said(log)
    assert ("watch", "configmaps", 200, "ResponseStarted") in said(log)
    assert said(log)[-1] == ("delete", "configmaps", 200, complete)
    first = events(log)[1]
    assert first["level"] == "Metadata"
    assert first["user"]["username"] == "sandbox-admin"
    assert first["objectRef"] == {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert "requestObject" not in first

"""Ten thousand objects and fifty watches: nothing is lost, memory stays bounded, reading stays possible in pages."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.harness import Api, Sandbox, eventually, sandbox_server
from tests.contract.load import create_many, watchers

pytestmark = pytest.mark.since(kubernetes="1.26")

OBJECTS, WATCHES, WATCHED = 10_000, 50, 500
PATH = "/api/v1/namespaces/default/configmaps"
# Objects here have about 600 bytes of JSON; with their managers, and history for watches, Python holds some 8 KiB each.
MEBIBYTES = 200


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A server of this module's own, so that what it holds is what was put there."""
    with tempfile.TemporaryDirectory(prefix="kbc-contract-") as name:
        directory = Path(name)
        with sandbox_server(directory, directory / "no.sock") as running:
            yield running


def test_fifty_watches_miss_nothing(server: Sandbox) -> None:
    api = Api(server.kubeconfig)
    before = server.resident_mebibytes()
    with watchers(api, PATH, WATCHES, WATCHED) as watching:
        create_many(api, PATH, "watched", WATCHED)
        eventually(
            "every watch has every event", lambda: all(len(one.arrivals) == WATCHED for one in watching), seconds=60
        )
    assert server.resident_mebibytes() - before < MEBIBYTES


def test_ten_thousand_objects_are_kept_and_read_in_pages(server: Sandbox) -> None:
    api = Api(server.kubeconfig)
    present = len(api.get(PATH).expect(200)["items"])
    before = server.resident_mebibytes()
    create_many(api, PATH, "many", OBJECTS)
    assert server.resident_mebibytes() - before < MEBIBYTES
    names: set[str] = set()
    token = ""
    while True:
        page = api.get(PATH, [("limit", "1000"), *([("continue", token)] if token else [])]).expect(200)
        assert len(page["items"]) <= 1000
        names |= {item["metadata"]["name"] for item in page["items"]}
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert len(names) == OBJECTS + present

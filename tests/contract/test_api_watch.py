"""Watching: order, selectors, history, bookmarks and what happens to slow readers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import watch

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Body, Sandbox, eventually

pytestmark = pytest.mark.since(kubernetes="1.26")


def types_of(events: list[Body], name: str) -> list[str]:
    """The event types of one object."""
    return [event["type"] for event in events if event["object"]["metadata"].get("name") == name]


def ends_with(kind: str) -> Callable[[list[Body]], bool]:
    """Stop when the last event is of a type."""
    return lambda events: bool(events) and events[-1]["type"] == kind


@pytest.fixture
def present(api: Api, widgets: Widgets) -> str:
    """The resourceVersion of now."""
    version: str = api.get(widgets.path).expect(200)["metadata"]["resourceVersion"]
    return version


def test_changes_come_in_order_from_a_version(api: Api, widgets: Widgets, name: str, present: str) -> None:
    path = f"{widgets.path}/{name}"
    api.post(widgets.path, widgets.body(name)).expect(201)
    api.patch(path, {"spec": {"size": 2}}).expect(200)
    api.delete(path).expect(200)
    events = api.watch(widgets.path, [("resourceVersion", present), ("timeoutSeconds", "5")], ends_with("DELETED"))
    assert types_of(events, name) == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))


def test_without_version_present_objects_come_first(api: Api, widgets: Widgets, widget: Body) -> None:
    events = api.watch(widgets.path, [("timeoutSeconds", "1")], lambda seen: len(seen) > 0)
    assert {event["type"] for event in events} == {"ADDED"}
    assert widget["metadata"]["name"] in [event["object"]["metadata"]["name"] for event in events]


def test_server_ends_a_watch_after_its_timeout(api: Api, widgets: Widgets, present: str) -> None:
    begin = time.monotonic()
    api.watch(widgets.path, [("resourceVersion", present), ("timeoutSeconds", "1")])
    assert 0.9 < time.monotonic() - begin < 4


def test_objects_enter_and_leave_a_selection(api: Api, widgets: Widgets, name: str, present: str) -> None:
    api.post(widgets.path, widgets.body(name)).expect(201)
    for value in (name, None):
        api.patch(f"{widgets.path}/{name}", {"metadata": {"labels": {"chosen": value}}}).expect(200)
    query = [("resourceVersion", present), ("labelSelector", f"chosen={name}"), ("timeoutSeconds", "5")]
    events = api.watch(widgets.path, query, ends_with("DELETED"))
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]


def test_field_selector_watches_one_object(api: Api, widgets: Widgets, name: str, present: str) -> None:
    for suffix in ("a", "b"):
        api.post(widgets.path, widgets.body(f"{name}-{suffix}")).expect(201)
    query = [("resourceVersion", present), ("fieldSelector", f"metadata.name={name}-b"), ("timeoutSeconds", "5")]
    events = api.watch(widgets.path, query, ends_with("ADDED"))
    assert [event["object"]["metadata"]["name"] for event in events] == [f"{name}-b"]


def test_live_changes_arrive_at_once(api: Api, widgets: Widgets, name: str, present: str) -> None:
    query = [("resourceVersion", present), ("timeoutSeconds", "10")]
    arrived: list[float] = []

    def stop(events: list[Body]) -> bool:
        if not arrived and not types_of(events, name):
            api.post(widgets.path, widgets.body(f"{name}")).expect(201)
        if types_of(events, name):
            arrived.append(time.monotonic())
        return bool(arrived)

    api.post(widgets.path, widgets.body(f"{name}-first")).expect(201)
    begin = time.monotonic()
    api.watch(widgets.path, query, stop)
    assert arrived
    assert arrived[0] - begin < 2


def test_garbage_version_is_a_bad_request(api: Api, widgets: Widgets) -> None:
    events = api.watch(widgets.path, [("resourceVersion", "abc"), ("timeoutSeconds", "1")])
    assert (events[0]["type"], events[0]["object"]["code"]) == ("HTTP", 400)


@pytest.mark.since(kubernetes="1.34")
def test_initial_events_end_with_a_bookmark(api: Api, widgets: Widgets, widget: Body) -> None:
    query = [("allowWatchBookmarks", "true"), ("sendInitialEvents", "true"), ("timeoutSeconds", "5")]
    events = api.watch(widgets.path, [*query, ("resourceVersionMatch", "NotOlderThan")], ends_with("BOOKMARK"))
    assert types_of(events, widget["metadata"]["name"]) == ["ADDED"]
    annotations = events[-1]["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


def test_table_watch_describes_columns_once(api: Api, widgets: Widgets, widget: Body, name: str) -> None:
    api.post(widgets.path, widgets.body(f"{name}-second")).expect(201)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    events = api.watch(widgets.path, [("timeoutSeconds", "2")], lambda seen: len(seen) > 1, accept)
    assert [bool(event["object"]["columnDefinitions"]) for event in events[:2]] == [True, False]


def test_official_watch_client_sees_a_life(api: Api, namespace: str, name: str) -> None:
    core: Any = api.typed()
    core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    core.delete_namespaced_config_map(name, namespace)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-last"}})
    make: Callable[[], Any] = watch.Watch
    watcher, seen = make(), []
    for event in watcher.stream(core.list_namespaced_config_map, namespace, timeout_seconds=5):
        seen.append(event["object"].metadata.name)
        if seen[-1] == f"{name}-last":
            watcher.stop()
    assert f"{name}-last" in seen
    assert name not in seen


def test_forgotten_version_is_gone(api: Api, sandbox: Sandbox, namespace: str, name: str) -> None:
    """The history is bounded in bytes: large writes push the start out of it."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    first = api.post(path, {"metadata": {"name": name}}).expect(201)["metadata"]["resourceVersion"]
    for index in range(12):
        api.patch(f"{path}/{name}", {"data": {"a": str(index) * 1_000_000}}).expect(200)
    events = api.watch(path, [("resourceVersion", first), ("timeoutSeconds", "1")])
    assert (events[0]["type"], events[0]["object"]["code"], events[0]["object"]["reason"]) == ("ERROR", 410, "Expired")
    api.delete(f"{path}/{name}").expect(200)


def test_slow_reader_is_cut_and_costs_little(api: Api, sandbox: Sandbox, namespace: str, name: str) -> None:
    """A client that stops reading loses its watch; the server does not keep its changes."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    api.post(path, {"metadata": {"name": name}}).expect(201)
    before = sandbox.resident_mebibytes()
    with _unread_watch(api, path) as reader:
        for index in range(500):
            api.patch(f"{path}/{name}", {"data": {"a": f"{index:04}" * 10_000}}).expect(200)
        eventually("the watch ends", lambda: _is_over(reader), 20)
    assert sandbox.resident_mebibytes() - before < 60


def _unread_watch(api: Api, path: str) -> ssl.SSLSocket:
    """A watch over a connection with small buffers that nobody reads."""
    configuration = api.client.configuration
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(configuration.cert_file, configuration.key_file)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = api.host.removeprefix("https://").split(":")
    plain.connect((host, int(port)))
    reader = context.wrap_socket(plain, server_hostname=host)
    reader.sendall(f"GET {path}?watch=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return reader


def _is_over(reader: ssl.SSLSocket) -> bool:
    """Read what there is; whether the watch said that it is expired, or was closed."""
    reader.settimeout(0.2)
    try:
        while data := reader.recv(1 << 20):
            if b'"Expired"' in data:
                return True
    except TimeoutError:
        return False
    except (ssl.SSLError, ConnectionError):
        pass
    return True

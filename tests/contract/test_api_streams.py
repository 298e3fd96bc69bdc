"""Streams: requests that the server hands to its backend, byte for byte."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.stream import stream
from kubernetes.stream.ws_client import create_websocket
from websocket import ABNF, WebSocketBadStatusException, WebSocketException

from tests.contract.backend import ENDED, PING_SECONDS
from tests.contract.harness import Api, Sandbox, eventually

pytestmark = pytest.mark.since(kubernetes="1.26", kubevirt="1.1")

PLAIN = "plain.kubevirt.io"


def portforward_path(namespace: str, name: str) -> str:
    """The portforward subresource of a VMI, which the backend plays."""
    return f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/portforward/22"


@contextmanager
def websocket(api: Api, path: str, subprotocol: str = PLAIN) -> Iterator[Any]:
    """A websocket made by the official client."""
    connect: Callable[..., Any] = create_websocket
    url = api.host.replace("https", "wss", 1) + path
    connection = connect(api.client.configuration, url, {"sec-websocket-protocol": subprotocol})
    connection.settimeout(5)
    try:
        yield connection
    finally:
        connection.close(timeout=1)


def receive(connection: Any, size: int) -> bytes:
    """That many bytes of binary frames, while answering pings."""
    data = b""
    while len(data) < size:
        opcode, payload = connection.recv_data(control_frame=True)
        assert opcode != ABNF.OPCODE_CLOSE, f"closed after {len(data)} bytes"
        if opcode == ABNF.OPCODE_BINARY:
            data += payload
    return data


def ended(connection: Any) -> None:
    """Read until the stream is closed, which raises what a client gets for it."""
    while True:
        opcode, payload = connection.recv_data(control_frame=True)
        if opcode == ABNF.OPCODE_CLOSE:
            raise WebSocketException(f"closed: {payload!r}")


def test_portforward_echoes(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "echo")) as connection:
        connection.send(b"SSH-2.0-test\r\n", ABNF.OPCODE_BINARY)
        assert receive(connection, 14) == b"SSH-2.0-test\r\n"


def test_subprotocol_is_passed_on(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "echo")) as connection:
        assert connection.getheaders()["sec-websocket-protocol"] == PLAIN


def test_text_frames_are_passed_and_ignored(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "echo")) as connection:
        connection.send("ignored")
        connection.send(b"heard", ABNF.OPCODE_BINARY)
        assert receive(connection, 5) == b"heard"


def test_large_frames_arrive_whole(api: Api, sandbox: Sandbox, namespace: str) -> None:
    block = bytes(range(256)) * 4096
    with websocket(api, portforward_path(namespace, "bulk")) as connection:
        for _ in range(4):
            connection.send(block, ABNF.OPCODE_BINARY)
            assert receive(connection, len(block)) == block


def test_pings_reach_the_client_and_keep_it(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "echo")) as connection:
        end, pings = time.monotonic() + 10 * PING_SECONDS, 0
        while time.monotonic() < end:
            opcode, _ = connection.recv_data(control_frame=True)
            assert opcode == ABNF.OPCODE_PING
            pings += 1
        connection.send(b"still here", ABNF.OPCODE_BINARY)
        assert receive(connection, 10) == b"still here"
    assert pings >= 3


def test_console_speaks_first_and_has_one_client(api: Api, sandbox: Sandbox, namespace: str, name: str) -> None:
    path = portforward_path(namespace, name).replace("portforward/22", "console")
    with websocket(api, path) as first:
        assert receive(first, 7) == b"login: "
        first.send(b"root\n", ABNF.OPCODE_BINARY)
        assert receive(first, 5) == b"ROOT\n"
        with websocket(api, path) as second:
            assert receive(second, 7) == b"login: "
            with pytest.raises((OSError, WebSocketException)):
                ended(first)
            second.send(b"me", ABNF.OPCODE_BINARY)
            assert receive(second, 2) == b"ME"


def test_close_code_and_reason_are_passed_on(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "closing")) as connection:
        opcode, payload = connection.recv_data(control_frame=True)
    assert (opcode, int.from_bytes(payload[:2], "big"), payload[2:]) == (ABNF.OPCODE_CLOSE, 4001, b"enough")


@pytest.mark.parametrize("ending", ["close", "abort"])
def test_client_ending_ends_the_backend(api: Api, sandbox: Sandbox, namespace: str, name: str, ending: str) -> None:
    with websocket(api, portforward_path(namespace, name)) as connection:
        connection.send(b"hello", ABNF.OPCODE_BINARY)
        assert receive(connection, 5) == b"hello"
        assert name not in ENDED
        if ending == "abort":
            connection.shutdown()
    eventually("the backend's side ends", lambda: name in ENDED, 3)


def test_lost_backend_ends_the_client(api: Api, sandbox: Sandbox, namespace: str) -> None:
    with websocket(api, portforward_path(namespace, "dropping")) as connection:
        begin = time.monotonic()
        with pytest.raises((OSError, WebSocketException)):
            receive(connection, 1)
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x83\x80\0\0\0\0",
        b"\xf2\x80\0\0\0\0",
        b"\x89\xfe\x01\0" + bytes(260),
        bytes(range(256)) * 16,
    ],
    ids=["reserved opcode", "reserved bits", "long ping", "noise"],
)
def test_garbage_instead_of_frames_ends_that_stream_alone(
    api: Api, sandbox: Sandbox, namespace: str, name: str, garbage: bytes
) -> None:
    with websocket(api, portforward_path(namespace, "echo")) as bystander:
        with websocket(api, portforward_path(namespace, name)) as connection:
            connection.sock.sendall(garbage)
            with pytest.raises((OSError, WebSocketException)):
                ended(connection)
        eventually("the backend's side ends", lambda: name in ENDED, 3)
        bystander.send(b"still here", ABNF.OPCODE_BINARY)
        assert receive(bystander, 10) == b"still here"


@pytest.mark.parametrize(("name", "code"), [("missing", 404), ("refused", 500)])
def test_refusal_before_the_upgrade_is_an_answer(
    api: Api, sandbox: Sandbox, namespace: str, name: str, code: int
) -> None:
    with pytest.raises(WebSocketBadStatusException) as caught, websocket(api, portforward_path(namespace, name)):
        pass
    assert caught.value.status_code == code
    body = json.loads(caught.value.resp_body or b"{}")
    assert (body["kind"], body["code"]) == ("Status", code)
    assert body["message"]


def test_ordinary_subresource_carries_identity_and_body(api: Api, sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/vm/pause"
    seen = api.put(path, {"dryRun": []}, [("a", "b c")]).expect(202)
    assert (seen["method"], seen["path"]) == ("PUT", f"{path}?a=b+c")
    assert (seen["user"], seen["authorization"]) == ("sandbox-admin", None)
    assert "system:masters" in seen["groups"]
    assert json.loads(seen["body"]) == {"dryRun": []}


def test_identity_cannot_be_forged(api: Api, sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/vm/pause"
    found = api.raw("PUT", path, X_Remote_User="somebody", X_Remote_Group="else")
    seen = json.loads(found.data)
    assert (seen["user"], "else" in seen["groups"]) == ("sandbox-admin", False)


@pytest.fixture
def pod(api: Api, sandbox: Sandbox, namespace: str, name: str) -> str:
    """The name of a pod whose streams the backend plays."""
    spec = {"containers": [{"name": "main", "image": "image:1"}]}
    api.post(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec}).expect(201)
    return name


def test_log_is_read_and_followed(api: Api, namespace: str, pod: str) -> None:
    core = api.typed()
    assert core.read_namespaced_pod_log(pod, namespace) == "first\nsecond\n"
    found = api.raw("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", [("follow", "true")], stream=True)
    pieces = found.stream()
    assert next(pieces) == b"first\n"
    assert b"".join(pieces) == b"second\n"


def test_streams_of_an_absent_pod_are_not_found(api: Api, sandbox: Sandbox, namespace: str) -> None:
    api.get(f"/api/v1/namespaces/{namespace}/pods/absent/log").refused(404, "NotFound")
    path = f"/api/v1/namespaces/{namespace}/pods/absent/exec?command=true"
    with pytest.raises(WebSocketBadStatusException) as caught, websocket(api, path, "v5.channel.k8s.io"):
        pass
    assert caught.value.status_code == 404


def test_exec_carries_output_input_and_exit_code(api: Api, kubeconfig: Any, namespace: str, pod: str) -> None:
    core = Api(kubeconfig).typed()  # stream() changes its client while it runs, so it gets one of its own
    run: Callable[..., Any] = stream
    session = run(
        core.connect_get_namespaced_pod_exec,
        pod,
        namespace,
        command=["cat", "file"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    session.write_stdin("typed")
    session.run_forever(timeout=5)
    assert session.read_stdout() == "cat file\ntyped"
    assert session.read_stderr() == "warning\n"
    assert session.returncode == 3

"""The recorded attempts at portforward and console, made again, and `virsh dumpxml` in the compute container."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Final
from urllib.parse import quote

import websocket

from conformance.kube.official import WebSocket, connect_websocket
from tests.fidelity.http import Api
from tests.fidelity.recording import Json, Object

PLAIN: Final = "plain.kubevirt.io"
_CHANNELS: Final = "v5.channel.k8s.io,v4.channel.k8s.io"
_READ_SECONDS: Final = 5.0
_ECHO_SECONDS: Final = 2.0
_SHELL_SECONDS: Final = 60.0
_GONE: Final = (websocket.WebSocketException, OSError)
_CLOSED: Final = "ConnectionClosed"


def subresource(namespace: str, vmi: str, rest: str) -> str:
    """The path of a VMI's subresource, `portforward/80` or `console`."""
    return f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{vmi}/{rest}"


def plain_get(api: Api, path: str, accept: str = "*/*") -> Object:
    """What a GET without upgrade is answered."""
    reply = api.send("GET", path, accept=accept)
    return {"code": reply.code, "body": reply.body}


def portforward(api: Api, path: str) -> Object:
    """Open the stream and send an HTTP request over it: `{"code": 101, "first_bytes": ...}` or the refusal."""
    stream = _open(api, path, PLAIN)
    if isinstance(stream, dict):
        return stream
    with contextlib.closing(stream):
        try:
            stream.send(b"GET / HTTP/1.0\r\n\r\n", websocket.ABNF.OPCODE_BINARY)
            return {"code": 101, "first_bytes": _read(stream).decode("latin-1")}
        except _GONE:
            return {"code": 101, "first_bytes": ""}


def console(api: Api, path: str, *, second: bool) -> Object:
    """Open the console; with `second`, open it again and see what becomes of the first client."""
    first = _open(api, path, PLAIN)
    if isinstance(first, dict):
        return {"ws": first}
    result: Object = {"ws": {"code": 101}}
    with contextlib.closing(first):
        if not second:
            return result
        other = _open(api, path, PLAIN)
        if isinstance(other, dict):
            return {**result, "first_client_afterwards": f"second client refused with {other.get('code')}"}
        with contextlib.closing(other):
            result["first_client_while_second_types"] = _typed_by(other, first)
            result["first_client_afterwards"] = _fate(first)
    return result


def guest_shell(api: Api, namespace: str, vmi: str, command: str) -> None:
    """Run a command in the root shell at the guest's console, once it is there.

    Raises OSError if the console is refused or no shell answers in time.
    """
    stream = _open(api, subresource(namespace, vmi, "console"), PLAIN)
    if isinstance(stream, dict):
        raise OSError(f"console of {vmi}: {stream}")
    until, said = time.monotonic() + _SHELL_SECONDS, b""
    with contextlib.closing(stream):
        while b"shell-answers" not in said:
            if time.monotonic() > until:
                raise OSError(f"console of {vmi}: no shell answers: {said[-200:]!r}")
            stream.send(b"\recho shell-''answers\r", websocket.ABNF.OPCODE_BINARY)
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                while b"shell-answers" not in said:
                    said += _read(stream, _ECHO_SECONDS)
        stream.send(f"{command}\r".encode(), websocket.ABNF.OPCODE_BINARY)
        with contextlib.suppress(*_GONE):
            while _read(stream, _ECHO_SECONDS):
                pass


def domain(api: Api, namespace: str, pod: str, vmi: str) -> Object:
    """The networking parts of the running domain's XML. Raises OSError when virsh gave none."""
    name = f"{namespace}_{vmi}"
    xml = pod_exec(api, namespace, pod, "compute", ["sh", "-c", f"virsh -r dumpxml {name} 2>&1"])
    if "<domain" not in xml:
        raise OSError(f"virsh dumpxml in {pod}: {xml[-300:]!r}")
    flat = re.sub(r">\s+<", "><", xml)
    backing = re.search(r"<memoryBacking>.*?</memoryBacking>", flat)
    arguments = re.findall(r"<qemu:arg [^>]*/>", flat)
    interfaces: list[Json] = list(re.findall(r"<interface .*?</interface>", flat))
    return {
        "interface": interfaces,
        "qemu_args_net": [argument for argument in arguments if _of_networking(argument)],
        "memoryBacking": backing[0] if backing else None,
    }


def pod_exec(api: Api, namespace: str, pod: str, container: str, command: list[str]) -> str:
    """Standard output of a command in a container. Raises OSError when it cannot be run."""
    query = "&".join(
        [f"container={container}", "stdout=true", "stderr=true", *(f"command={quote(w)}" for w in command)]
    )
    stream = _open(api, f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{query}", _CHANNELS)
    if isinstance(stream, dict):
        raise OSError(f"exec in {pod}/{container}: {stream}")
    output = b""
    with contextlib.closing(stream):
        stream.settimeout(_READ_SECONDS * 4)
        with contextlib.suppress(*_GONE):
            while True:
                opcode, data = stream.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break
                output += data[1:] if data[:1] in (b"\1", b"\2") else b""
    return output.decode("utf-8", "replace")


def _open(api: Api, path: str, subprotocol: str) -> WebSocket | Object:
    """A websocket, or code and body of the refusal."""
    headers = {"sec-websocket-protocol": subprotocol, **api.authorization()}
    websocket.setdefaulttimeout(30.0)
    try:
        stream = connect_websocket(api.configuration, api.configuration.host.replace("http", "ws", 1) + path, headers)
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body or b""
        said = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
        return {"code": error.status_code, "body": said}
    except _GONE as error:
        return {"code": 0, "body": json.dumps({"message": type(error).__name__})}
    stream.settimeout(_READ_SECONDS)
    return stream


def _read(stream: WebSocket, seconds: float = _READ_SECONDS) -> bytes:
    """The next data, empty when the server closes. Raises WebSocketTimeoutException: pings do not count."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        opcode, data = stream.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return b""
        if opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) and data:
            return bytes(data)
    raise websocket.WebSocketTimeoutException("nothing but pings")


def _typed_by(second: WebSocket, first: WebSocket) -> str:
    with contextlib.suppress(*_GONE):
        second.send(b"\r\n", websocket.ABNF.OPCODE_BINARY)
    return _fate(first)


def _fate(stream: WebSocket) -> str:
    """`open` or `ConnectionClosed`, as found by reading until the server closes or stays silent."""
    try:
        while _read(stream):
            pass
    except websocket.WebSocketTimeoutException:
        return "open"
    except _GONE:
        return _CLOSED
    return _CLOSED


def _of_networking(argument: str) -> bool:
    return any(word in argument for word in ("netdev", "user,id=", "e1000"))

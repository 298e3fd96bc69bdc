"""Websockets of the API server: how one is opened, refused, and turned into a socket.

``kubernetes.stream.ws_client.create_websocket`` brings CA, client certificate, token and proxy from the kubeconfig. The
subresources of KubeVirt answer a refusal with an HTTP status *before* the upgrade (virt-api dials the guest first), so
the status and its text are all there is to tell one fault from another.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Mapping

import websocket
from kubernetes.client import ApiClient
from websocket import ABNF

from conformance.kube.errors import ApiError, ConnectionLost, from_status
from conformance.kube.official import WebSocket, connect_websocket

PLAIN = "plain.kubevirt.io"
CHANNELS = "v5.channel.k8s.io,v4.channel.k8s.io"
_HANDSHAKE_SECONDS = 20.0
_CLOSED_QUIETLY = (websocket.WebSocketException, OSError)


def open_websocket(
    api_client: ApiClient,
    path: str,
    *,
    what: str,
    subprotocol: str,
    refused: Callable[[ApiError], ApiError] = lambda error: error,
) -> WebSocket:
    """Open a websocket at ``path`` (with its query).

    A refusal before the upgrade becomes the ApiError of its HTTP status, which ``refused`` may turn into a narrower
    one; everything else is ConnectionLost. The handshake is bounded, afterwards reads block.
    """
    settings = api_client.configuration
    headers = {"sec-websocket-protocol": subprotocol, **_authorization(settings.auth_settings())}
    websocket.setdefaulttimeout(_HANDSHAKE_SECONDS)  # the official client leaves no other way to bound it
    try:
        opened = connect_websocket(settings, settings.host.replace("http", "ws", 1) + path, headers)
    except websocket.WebSocketBadStatusException as error:
        raise refused(_refusal(what, error.status_code, error.resp_body)) from error
    except _CLOSED_QUIETLY as error:
        raise ConnectionLost(f"{what}: {type(error).__name__}: {error}") from error
    opened.settimeout(None)
    return opened


def as_socket(stream: WebSocket, name: str) -> socket.socket:
    """A plain socket whose bytes travel as binary frames; closing it closes the websocket, and the other way round.

    One thread owns the TLS socket, so it is never read and written at once. Pings of the server (virt-api sends one a
    second and drops a client that stays silent for a minute) are answered even when no data flows.
    """
    ours, theirs = socket.socketpair()
    threading.Thread(target=_pump, args=(stream, ours), daemon=True, name=name).start()
    return theirs


def chosen_subprotocol(stream: WebSocket) -> str:
    """What the server chose; the library knows it only for subprotocols that were asked for in its own way."""
    headers = stream.getheaders() or {}
    return next((value for name, value in headers.items() if name.lower() == "sec-websocket-protocol"), "")


def pending(stream: WebSocket) -> bool:
    """Whether decrypted bytes wait inside the TLS layer, where ``select`` cannot see them."""
    count = getattr(stream.sock, "pending", None)
    return bool(count and count())


def _pump(stream: WebSocket, ours: socket.socket) -> None:
    with contextlib.suppress(*_CLOSED_QUIETLY):
        while True:
            waiting = pending(stream)
            readable, _, _ = select.select([stream.sock, ours], [], [], 0 if waiting else 20)
            if waiting or stream.sock in readable:
                # control frames must come back too: otherwise the call blocks over pings, and writes starve
                opcode, data = stream.recv_data(control_frame=True)
                if opcode == ABNF.OPCODE_CLOSE:
                    break
                if opcode in (ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT):
                    ours.sendall(data)
            if ours in readable:
                data = ours.recv(32768)
                if not data:
                    break
                stream.send(data, ABNF.OPCODE_BINARY)
            if not waiting and not readable:
                stream.ping()
    for end in (stream, ours):
        with contextlib.suppress(*_CLOSED_QUIETLY):
            end.close()


def _authorization(settings: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    in_header = [entry for entry in settings.values() if entry.get("in") == "header" and entry.get("value")]
    return {entry["key"].lower(): entry["value"] for entry in in_header}


def _refusal(what: str, code: int, body: bytes | str | None) -> ApiError:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        status = json.loads(text)
        return from_status(what, code, str(status.get("reason", "")), str(status.get("message", text)))
    except (ValueError, AttributeError):
        return from_status(what, code, "", text.strip())

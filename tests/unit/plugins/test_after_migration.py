"""Faults that strike after a migration, against a QEMU monitor that is played back."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures.plugins.hook_sidecars.opt.hook_sidecars import monitor
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.passt.after_migration import FLAP, UNPLUG, strike

ALIAS = "ua-default"


class Qemu:
    """A monitor of a QEMU in a given state; ``asked`` are the commands after the handshake."""

    def __init__(self, status: str) -> None:
        self._status = status
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.address = f"test-monitor-{secrets.token_hex(8)}"
        self._socket.bind("\0" + self.address)
        self._socket.listen(1)
        self.asked: list[tuple[str, dict[str, object]]] = []

    def serve(self) -> None:
        """Serve one session to its end; a target resumes right after it has told its status."""
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b'{"QMP": {}}\n')
            for line in lines:
                request = json.loads(line)
                self.asked.append((request["execute"], request.get("arguments", {})))
                query = request["execute"] == "query-status"
                connection.sendall(b'{"event": "STOP"}\n')
                connection.sendall(json.dumps({"return": {"status": self._status} if query else {}}).encode() + b"\n")
                if query and self._status == "inmigrate":
                    connection.sendall(b'{"event": "RESUME"}\n')

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def qemu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Qemu]:
    made = Qemu(request.param)
    monkeypatch.setattr(monitor, "ADDRESS", made.address)
    yield made
    made.close()


def play(qemu: Qemu, fault: str) -> list[tuple[str, dict[str, object]]]:
    with ThreadPoolExecutor() as pool:
        served = pool.submit(qemu.serve)
        strike(fault, ALIAS, threading.Event())
        served.result(timeout=10)
    return qemu.asked[2:]


@pytest.mark.parametrize("qemu", ["inmigrate"], indirect=True)
def test_flap_takes_the_link_down_and_up_once_the_guest_has_arrived(qemu: Qemu) -> None:
    assert play(qemu, FLAP) == [
        ("set_link", {"name": ALIAS, "up": False}),
        ("set_link", {"name": ALIAS, "up": True}),
    ]


@pytest.mark.parametrize("qemu", ["inmigrate"], indirect=True)
def test_unplug_takes_the_device_away(qemu: Qemu) -> None:
    assert play(qemu, UNPLUG) == [("device_del", {"id": ALIAS})]


@pytest.mark.parametrize("qemu", ["running", "prelaunch"], indirect=True)
@pytest.mark.parametrize("fault", [FLAP, UNPLUG])
def test_nothing_happens_to_a_guest_that_did_not_migrate(qemu: Qemu, fault: str) -> None:
    assert play(qemu, fault) == []


def test_a_sidecar_that_ends_stops_waiting_for_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "ADDRESS", f"nobody-{secrets.token_hex(8)}")
    stop = threading.Event()
    stop.set()
    with pytest.raises(ConnectionAbortedError):
        strike(FLAP, ALIAS, stop)

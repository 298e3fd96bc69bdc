"""A command in a pod as a plain socket: its stdin and stdout are the bytes. Used to dial from inside the cluster."""

from __future__ import annotations

import contextlib
import socket
import threading

from conformance.kube.errors import ConnectionLost
from conformance.kube.pods import PodProcess

# Copies between `peer` and the command's streams until either side ends. Standard library only; runs in the pod.
COPY_BOTH_WAYS = """
while True:
    ready = select.select([0, peer], [], [])[0]
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        peer.sendall(data)
    if peer in ready:
        data = peer.recv(65536)
        if not data:
            break
        while data:
            data = data[os.write(1, data):]
"""
# Dials an address first.
DIAL = (
    """
import os, select, socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
peer.settimeout(None)
"""
    + COPY_BOTH_WAYS
)


def process_as_socket(process: PodProcess) -> socket.socket:
    """The process's streams as a connected socket; it ends when either side does. stderr stays on the process."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_inwards, args=(process, ours), daemon=True, name="relay-in").start()
    threading.Thread(target=_outwards, args=(process, ours), daemon=True, name="relay-out").start()
    return theirs


def _inwards(process: PodProcess, ours: socket.socket) -> None:
    with contextlib.suppress(OSError, ConnectionLost):
        while data := ours.recv(32768):
            process.write(data)
    process.close()


def _outwards(process: PodProcess, ours: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := process.take():
            ours.sendall(data)
    # shutdown, not close: it also wakes the thread that reads, and the reader at the other end
    with contextlib.suppress(OSError):
        ours.shutdown(socket.SHUT_RDWR)

"""A daemon of a node is started again when its process ends; what it stands for is away in between."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from conformance.sandbox.kubernetes import daemons
from conformance.sandbox.kubernetes.daemons import NodeDaemon
from conformance.sandbox.network.node import Node


class Programs:
    """Stands for a node: it starts processes, here a plain `sleep`."""

    def __init__(self) -> None:
        self.name = "node-1"
        self.linked: list[str] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self.two = asyncio.Event()

    async def run(self, *argv: str) -> SimpleNamespace:
        self.linked.append(argv[-1])
        return SimpleNamespace()

    async def spawn(self, *argv: str) -> asyncio.subprocess.Process:
        assert argv == (self.linked[0], "infinity")
        process = await asyncio.create_subprocess_exec("sleep", "infinity")
        self.processes.append(process)
        if len(self.processes) == 2:
            self.two.set()
        return process


async def restarted(node: Programs) -> list[str]:
    """Start the daemon, end its process once, wait for the next, and stop: what was told meanwhile."""
    told: list[str] = []

    async def down() -> None:
        told.append("down")

    async def up() -> None:
        told.append("up")

    daemon = NodeDaemon(cast(Node, node), "kubelet", down=down, up=up)
    await daemon.start()
    assert told == []
    node.processes[0].terminate()
    await node.two.wait()
    await daemon.stop()
    return told


def test_an_ended_process_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "_RESTART_SECONDS", 0.05)
    node = Programs()
    assert asyncio.run(restarted(node)) == ["down", "up"]
    assert node.linked[0].endswith("/kubelet")
    assert [process.returncode for process in node.processes] == [-15, -9]

"""Daemons of a node: each a process there that somebody can end, and that its supervisor starts again.

The kubelet and virt-handler of the sandbox are controllers of the one program; what a node has of each is a process of
that name that does nothing. What it stands for works while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from conformance.sandbox.network.node import Node

log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = 1.0
"""As a supervisor is told to wait (systemd's RestartSec, a kubelet's first back-off)."""
_DIRECTORY: Final = "/usr/local/bin"
_PROGRAM: Final = "/usr/bin/sleep"


class NodeDaemon:
    """One daemon of a node. ``down`` is awaited when its process has ended, ``up`` before there is another one."""

    def __init__(
        self, node: Node, name: str, *, down: Callable[[], Awaitable[None]], up: Callable[[], Awaitable[None]]
    ) -> None:
        self._node, self._name, self._down, self._up = node, name, down, up
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process, and again whenever it ends. What it stands for works already."""
        link = f"{_DIRECTORY}/{self._name}"
        await self._node.run("ln", "--symbolic", "--force", _PROGRAM, link)
        self._process = await self._node.spawn(link, "infinity")
        self._task = asyncio.create_task(self._supervise(link), name=f"{self._name} of {self._node.name}")

    async def stop(self) -> None:
        """End the process for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _supervise(self, link: str) -> None:
        while self._process is not None:
            await self._process.wait()
            log.info("%s of %s has ended", self._name, self._node.name)
            await self._down()
            await asyncio.sleep(_RESTART_SECONDS)
            await self._up()
            self._process = await self._node.spawn(link, "infinity")

"""What the launcher needs from a node and from a container, as protocols.

The real ones are `conformance.sandbox.network.node.Node` and `conformance.sandbox.launcher.container.Container`; the
launcher knows only these shapes, so that it can be tested on a small bench of namespaces.
"""

import socket
from collections.abc import Mapping
from typing import Protocol


class CompletedProcess(Protocol):
    """A finished command: its exit status and what it wrote."""

    @property
    def returncode(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


class NodeLike(Protocol):
    """A node as the launcher sees it: a place to run commands and to open sockets."""

    @property
    def name(self) -> str: ...

    async def run(
        self,
        *argv: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> CompletedProcess:
        """Run a command to its end on the node, in the network namespace called `netns` if one is given."""
        ...

    def socket(self, family: int, type: int, netns: str | None) -> socket.socket:
        """A socket that lives in the node's (or that pod's) network namespace."""
        ...


class ContainerLike(Protocol):
    """A running container; its first process gives access to its namespaces."""

    @property
    def pid(self) -> int: ...


class PodLike(Protocol):
    """Which pod: the three names every message uses."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...

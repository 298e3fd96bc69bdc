"""Network namespaces for tests of programs that change or listen to a network: they end with the test, links
included.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from pyroute2 import netns

T = TypeVar("T")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make network namespaces")


@dataclass(frozen=True)
class Namespace:
    """A network namespace held open by one process; ``path`` is what CNI_NETNS would be."""

    pid: int

    @property
    def path(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    def run(self, *argv: str) -> str:
        """Run a command inside; stdout. Raises CalledProcessError."""
        return subprocess.run(self.argv(*argv), check=True, capture_output=True, text=True).stdout

    def argv(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` inside."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def inside(self, make: Callable[[], T]) -> T:
        """What ``make`` returns when called inside, for instance a socket that stays there."""
        made: list[T] = []

        def enter() -> None:
            netns.setns(self.path)
            made.append(make())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return made[0]


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A new namespace, with its loopback up."""
    with subprocess.Popen(["unshare", "--net", "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"ready\n")
        holder.stdin.flush()
        holder.stdout.readline()
        made = Namespace(holder.pid)
        try:
            made.run("ip", "link", "set", "lo", "up")
            yield made
        finally:
            holder.stdin.close()
            holder.wait()

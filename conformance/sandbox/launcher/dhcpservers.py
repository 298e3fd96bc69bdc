"""Runs KubeVirt's own DHCP in the compute container, as virt-launcher does in itself; it ends with the container."""

import asyncio

from conformance.sandbox.launcher.compute import DHCP_PACKAGE
from conformance.sandbox.launcher.dhcp import Lease
from conformance.sandbox.launcher.errors import LauncherError
from conformance.sandbox.launcher.podinterfaces import PodInterfaces
from conformance.sandbox.launcher.protocols import ContainerLike

_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
_START_SECONDS = 20.0


class DhcpServers:
    """The servers of one launcher, one a lease."""

    def __init__(self, compute: ContainerLike) -> None:
        self._compute = compute
        self._served: set[str] = set()

    async def ensure(self, cache: PodInterfaces) -> None:
        """Serve every lease of the pod; what is served already is left alone. Raises LauncherError."""
        for record in cache:
            if record.lease is not None and record.name not in self._served:
                await self._start(record.pod_interface, record.lease)
                self._served.add(record.name)

    async def _start(self, pod_interface: str, lease: Lease) -> None:
        """The program returns once it listens, and goes on in the background of the container."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._compute.pid), *_NAMESPACES, "--"),
            *("/usr/bin/python3", "-B", "-m", DHCP_PACKAGE, lease.to_json()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"},
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                _, words = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            reason = words.decode("utf-8", "replace").strip()
            raise LauncherError(f"failed to start DHCP server for interface {pod_interface}: {reason}")

"""Hook sidecars as virt-launcher drives them: found by their sockets, asked what they are, called at hook points.

Semantics of KubeVirt v1.9: contract section 2.4 and the recordings ondefine-*, sidecar-*, socket-collision.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from conformance.hooks import messages as hookapi
from conformance.sandbox.launcher.errors import HookCollectError, HookError
from conformance.sandbox.launcher.unixsocket import OWN_CONNECTION, short_address

INFO_SECONDS = 1.0
CALLBACK_SECONDS = 60.0
"""KubeVirt's own intervals: the Info deadline, the deadline of every callback."""

_log = logging.getLogger(__name__)
_DIAL_SECONDS = 1.0
_CHANNEL_OPTIONS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.enable_http_proxy", 0), OWN_CONNECTION]


@dataclass(frozen=True)
class HookRules:
    """How a release of KubeVirt looks for sidecars: in a directory of each (else in one of all), how often, and whether
    the time-out is heeded while there is no socket at all.
    """

    own_directories: bool = True
    scan_seconds: float = 0.3
    timeout_without_socket: bool = True


NEWEST_RULES = HookRules()


@dataclass(frozen=True)
class Sidecar:
    """A collected sidecar: its socket, the API version both sides speak, and what it subscribed to."""

    socket: Path
    version: str
    info: hookapi.Info


class HookManager:
    """The hook sidecars of one launcher pod. `directory` is what compute sees as /var/run/kubevirt-hooks."""

    def __init__(
        self, directory: Path, *, callback_seconds: float = CALLBACK_SECONDS, rules: HookRules = NEWEST_RULES
    ) -> None:
        self._directory = directory
        self._rules = rules
        self._callback_seconds = callback_seconds
        self._sidecars: list[Sidecar] = []

    @property
    def sidecars(self) -> tuple[Sidecar, ...]:
        """The sidecars in the order they were found, which is the order they are called in."""
        return tuple(self._sidecars)

    async def collect(self, count: int, timeout: float) -> None:
        """Wait until `count` sockets with different *file names* have answered Info.

        Every non-directory in a sidecar's directory is taken for a socket. One that refuses connections is looked at
        again; one that answers Info with an error, too late (1 s) or without a common version is fatal at once.
        Raises HookCollectError with KubeVirt's text.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        processed: dict[str, Sidecar] = {}
        while len(processed) < count:
            sockets = self._candidates()
            for socket in sockets:
                if socket.name not in processed and (sidecar := await _interview(socket)) is not None:
                    processed[socket.name] = sidecar
            if len(processed) >= count:
                break
            heeded = sockets or self._rules.timeout_without_socket
            if heeded and asyncio.get_running_loop().time() >= deadline:
                raise HookCollectError("Failed to collect all expected sidecar hook sockets within given timeout")
            await asyncio.sleep(self._rules.scan_seconds)
        self._sidecars = list(processed.values())

    async def on_define_domain(self, domain_xml: str, vmi: Mapping[str, object]) -> str:
        """Pass the XML through every subscriber and return what the last one gave. Raises HookError."""
        document, encoded = domain_xml.encode(), json.dumps(vmi).encode()
        for sidecar in self._subscribers(hookapi.ON_DEFINE_DOMAIN):
            call = hookapi.DomainCall(document, encoded)
            answer = await self._call(sidecar, hookapi.ON_DEFINE_DOMAIN, call.encode())
            document = hookapi.DomainCall.decode(answer).domain_xml
        return document.decode("utf-8", "replace")

    async def pre_cloud_init_iso(self, data: dict[str, object], vmi: Mapping[str, object]) -> dict[str, object]:
        """Offer the cloud-init data to the *first* subscriber and return what it made of them. Raises HookError.

        `data` has Go's field names: DataSource, NoCloudMetaData, UserData, NetworkData, ...
        """
        source = {"userData": data.get("UserData"), "networkData": data.get("NetworkData")}
        for sidecar in self._subscribers(hookapi.PRE_CLOUD_INIT_ISO):
            if sidecar.version == "v1alpha1":
                _log.error("unsupported callback version: %s", sidecar.version)
                continue
            call = hookapi.CloudInitCall(
                source=json.dumps({key: value for key, value in source.items() if value}).encode(),
                vmi=json.dumps(vmi).encode(),
                data=json.dumps(data).encode(),
            )
            answer = await self._call(sidecar, hookapi.PRE_CLOUD_INIT_ISO, call.encode())
            return _cloud_init_result(data, hookapi.CloudInitCall.decode(answer))
        return data

    async def shutdown(self) -> None:
        """Tell every v1alpha3 subscriber to end, stopping at the first that fails. Raises HookError."""
        for sidecar in self._subscribers(hookapi.SHUTDOWN):
            if sidecar.version != "v1alpha3":
                _log.error("unsupported callback version: %s", sidecar.version)
                continue
            await self._call(sidecar, hookapi.SHUTDOWN, b"")

    def _candidates(self) -> list[Path]:
        """Everything that is no directory where sidecars put their sockets, in name order."""
        if not self._directory.is_dir():
            return []
        folders = [self._directory]
        if self._rules.own_directories:
            folders = sorted(entry for entry in self._directory.iterdir() if entry.is_dir())
        return [entry for folder in folders for entry in sorted(folder.iterdir()) if not entry.is_dir()]

    def _subscribers(self, hook_point: str) -> list[Sidecar]:
        return [sidecar for sidecar in self._sidecars if hook_point in {p.name for p in sidecar.info.hook_points}]

    async def _call(self, sidecar: Sidecar, hook_point: str, message: bytes) -> bytes:
        method = hookapi.callback_method(sidecar.version, hook_point)
        try:
            return await _unary(sidecar.socket, method, message, self._callback_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise HookError("context deadline exceeded", "DeadlineExceeded") from error
            raise HookError(error.details() or "", _go_code(error.code())) from error
        except OSError as error:
            raise HookError(f"dial unix {sidecar.socket}: {os.strerror(error.errno or 0)}", "Unavailable") from error


async def _interview(socket: Path) -> Sidecar | None:
    """Ask a socket for its Info; None if nobody accepts connections there (yet)."""
    if not await _accepts(socket):
        _log.info("sidecar server might not be ready yet: %s", socket)
        return None
    try:
        info = hookapi.Info.decode(await _unary(socket, hookapi.INFO_METHOD, b"", INFO_SECONDS))
    except grpc.aio.AioRpcError as error:
        late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        details = "context deadline exceeded" if late else error.details()
        raise HookCollectError(f"rpc error: code = {_go_code(error.code())} desc = {details}") from error
    except ValueError as error:
        raise HookCollectError(f"rpc error: code = Internal desc = {error}") from error
    for version in hookapi.SUPPORTED_VERSIONS:
        if version in info.versions:
            return Sidecar(socket, version, info)
    raise HookCollectError(
        "Hook sidecar does not expose a supported version. "
        f"Exposed versions: [{' '.join(info.versions)}], supported versions: [{' '.join(hookapi.SUPPORTED_VERSIONS)}]"
    )


async def _accepts(socket: Path) -> bool:
    try:
        with short_address(socket) as address:
            async with asyncio.timeout(_DIAL_SECONDS):
                _reader, writer = await asyncio.open_unix_connection(address)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _unary(socket: Path, method: str, message: bytes, seconds: float) -> bytes:
    """One call on a connection of its own, as KubeVirt does; the message is encoded already."""
    with short_address(socket) as address:
        async with grpc.aio.insecure_channel(f"unix:{address}", options=_CHANNEL_OPTIONS) as channel:
            answer = await channel.unary_unary(method)(message, timeout=seconds)
    if not isinstance(answer, bytes):
        raise TypeError(f"{method} answered {type(answer).__name__}")
    return answer


def _go_code(code: grpc.StatusCode) -> str:
    """The name Go's gRPC library gives a status code: DEADLINE_EXCEEDED is DeadlineExceeded there."""
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return "".join(word.capitalize() for word in str(code.name).split("_"))


def _cloud_init_result(before: dict[str, object], answer: hookapi.CloudInitCall) -> dict[str, object]:
    """KubeVirt's rule: the new field if it is complete, else the legacy source on top of the data source."""
    try:
        data = json.loads(answer.data or b"null")
        if isinstance(data, dict) and data.get("UserData") and data.get("NoCloudMetaData"):
            return data
        legacy = json.loads(answer.source or b"null") or {}
    except ValueError as error:
        raise HookError(f"invalid JSON in the result of {hookapi.PRE_CLOUD_INIT_ISO}: {error}") from error
    return {
        **before,
        "UserData": legacy.get("userData", ""),
        "NetworkData": legacy.get("networkData", ""),
    }

"""The hook manager against a real gRPC server on a UNIX socket with a long path."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest

from conformance.hooks.messages import CloudInitCall
from conformance.sandbox.launcher.errors import HookCollectError, HookError
from conformance.sandbox.launcher.hooks import HookManager
from conformance.sandbox.launcher.unixsocket import short_address
from tests.sandbox.launcher.hookserver import HookServer

Result = TypeVar("Result")


def run(coroutine: Coroutine[None, None, Result]) -> Result:
    """Run a test's coroutine."""
    return asyncio.run(coroutine)


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """A hook directory whose sockets have paths of more than 107 bytes."""
    return tmp_path / ("long" * 30) / "hook-sidecar-sockets"


def test_two_sidecars_edit_one_after_the_other(hooks: Path) -> None:
    async def body() -> None:
        first = HookServer(edit=lambda xml, vmi: xml.replace("<a/>", "<a/><b/>"))
        second = HookServer(edit=lambda xml, vmi: xml.replace("<b/>", json.loads(vmi)["kind"]), versions=("v1alpha1",))
        async with first.serving(hooks / "hook-sidecar-0" / "a.sock"), second.serving(hooks / "hook-sidecar-1" / "b"):
            manager = HookManager(hooks)
            await manager.collect(2, 5)
            assert [sidecar.version for sidecar in manager.sidecars] == ["v1alpha3", "v1alpha1"]
            assert await manager.on_define_domain("<x><a/></x>", {"kind": "VMI"}) == "<x><a/>VMI</x>"
            assert second.calls[-1] == "/kubevirt.hooks.v1alpha1.Callbacks/OnDefineDomain"
            await manager.shutdown()
            assert first.calls[-1].endswith("v1alpha3.Callbacks/Shutdown")
            assert not any(call.endswith("Shutdown") for call in second.calls)

    run(body())


@pytest.mark.parametrize(
    ("version", "points"),
    [
        ("v1alpha1", ["OnDefineDomain"]),
        ("v1alpha2", ["OnDefineDomain", "PreCloudInitIso"]),
        ("v1alpha3", ["OnDefineDomain", "PreCloudInitIso", "Shutdown"]),
    ],
)
def test_a_sidecar_of_one_version_is_called_in_it_at_its_hook_points(
    hooks: Path, version: str, points: list[str]
) -> None:
    def change(call: CloudInitCall) -> CloudInitCall:
        return CloudInitCall(data=json.dumps({**json.loads(call.data), "UserData": "#changed"}).encode())

    async def body() -> None:
        everything = ("OnDefineDomain", "PreCloudInitIso", "Shutdown")
        server = HookServer(
            lambda xml, _vmi: xml + "<!-- seen -->", versions=(version,), hook_points=everything, cloud_init=change
        )
        async with server.serving(hooks / "hook-sidecar-0" / "a.sock"):
            manager = HookManager(hooks)
            await manager.collect(1, 5)
            assert await manager.on_define_domain("<domain/>", {}) == "<domain/><!-- seen -->"
            cloud = await manager.pre_cloud_init_iso({"UserData": "#x", "NoCloudMetaData": {"instance-id": "1"}}, {})
            assert cloud["UserData"] == ("#changed" if "PreCloudInitIso" in points else "#x")
            await manager.shutdown()
        assert server.calls[1:] == [f"/kubevirt.hooks.{version}.Callbacks/{point}" for point in points]

    run(body())


def test_sockets_of_one_name_count_once(hooks: Path) -> None:
    async def body() -> None:
        server = HookServer()
        async with server.serving(hooks / "hook-sidecar-0" / "x.sock"), HookServer().serving(hooks / "s1" / "x.sock"):
            with pytest.raises(HookCollectError, match="Failed to collect all expected sidecar hook sockets within"):
                await HookManager(hooks).collect(2, 0.7)

    run(body())


def test_a_file_that_is_no_socket_is_waited_for(hooks: Path) -> None:
    folder = hooks / "hook-sidecar-0"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("not a socket")
    with pytest.raises(HookCollectError, match="within given timeout"):
        run(HookManager(hooks).collect(1, 0.4))


def test_info_that_takes_too_long_is_fatal_at_once(hooks: Path) -> None:
    async def body() -> float:
        async with HookServer(info_delay=3).serving(hooks / "hook-sidecar-0" / "slow.sock"):
            started = time.monotonic()
            with pytest.raises(HookCollectError, match="code = DeadlineExceeded desc = context deadline exceeded"):
                await HookManager(hooks).collect(1, 30)
            return time.monotonic() - started

    assert 0.9 < run(body()) < 2.5


def test_no_common_version_is_fatal(hooks: Path) -> None:
    async def body() -> None:
        async with HookServer(versions=("v2",)).serving(hooks / "hook-sidecar-0" / "new.sock"):
            with pytest.raises(HookCollectError, match=r"Exposed versions: \[v2\], supported versions: \[v1alpha3"):
                await HookManager(hooks).collect(1, 5)

    run(body())


def test_an_error_is_quoted_as_kubevirt_quotes_it(hooks: Path) -> None:
    def refuse(_xml: str, _vmi: bytes) -> str:
        raise RuntimeError("h6: no such network")

    async def body() -> HookError:
        async with HookServer(edit=refuse).serving(hooks / "hook-sidecar-0" / "e.sock"):
            manager = HookManager(hooks)
            await manager.collect(1, 5)
            with pytest.raises(HookError) as caught:
                await manager.on_define_domain("<domain/>", {})
            return caught.value

    expected = 'server error. command SyncVMI failed: "rpc error: code = Unknown desc = h6: no such network"'
    assert run(body()).sync_message == expected


def test_a_slow_hook_exceeds_its_deadline(hooks: Path) -> None:
    async def body() -> HookError:
        async with HookServer(define_delay=3).serving(hooks / "hook-sidecar-0" / "e.sock"):
            manager = HookManager(hooks, callback_seconds=0.3)
            await manager.collect(1, 5)
            with pytest.raises(HookError) as caught:
                await manager.on_define_domain("<domain/>", {})
            return caught.value

    assert run(body()).remote_message == "rpc error: code = DeadlineExceeded desc = context deadline exceeded"


def test_a_dead_sidecar_is_unavailable(hooks: Path) -> None:
    async def body() -> str:
        manager = HookManager(hooks)
        async with HookServer().serving(hooks / "hook-sidecar-0" / "e.sock"):
            await manager.collect(1, 5)
        with pytest.raises(HookError) as caught:
            await manager.on_define_domain("<domain/>", {})
        return caught.value.remote_message

    assert "code = Unavailable" in run(body())


def test_cloud_init_goes_to_the_first_subscriber_only(hooks: Path) -> None:
    def change(call: CloudInitCall) -> CloudInitCall:
        data = json.loads(call.data)
        return CloudInitCall(data=json.dumps({**data, "UserData": data["UserData"] + "!"}).encode())

    async def body() -> dict[str, object]:
        points = ("PreCloudInitIso",)
        first = HookServer(hook_points=points, cloud_init=change)
        second = HookServer(hook_points=points, cloud_init=change)
        async with first.serving(hooks / "s0" / "a"), second.serving(hooks / "s1" / "b"):
            manager = HookManager(hooks)
            await manager.collect(2, 5)
            return await manager.pre_cloud_init_iso({"UserData": "#x", "NoCloudMetaData": {"instance-id": "1"}}, {})

    assert run(body())["UserData"] == "#x!"


def test_a_hook_that_answers_only_the_legacy_field_is_understood(hooks: Path) -> None:
    async def body() -> dict[str, object]:
        answer = CloudInitCall(source=b'{"userData": "legacy"}')
        async with HookServer(hook_points=("PreCloudInitIso",), cloud_init=lambda _call: answer).serving(
            hooks / "s" / "a"
        ):
            manager = HookManager(hooks)
            await manager.collect(1, 5)
            return await manager.pre_cloud_init_iso({"DataSource": "noCloud", "UserData": "#x"}, {})

    assert run(body()) == {"DataSource": "noCloud", "UserData": "legacy", "NetworkData": ""}


def test_a_sidecar_that_is_gone_leaves_nothing_to_the_next_one(hooks: Path) -> None:
    """Both have their directory open under one descriptor, and what failed at one must not be told of the other."""

    async def body() -> None:
        gone = hooks / "gone" / "hook-sidecar-0" / "a.sock"
        async with HookServer().serving(gone):
            manager = HookManager(gone.parent.parent)
            await manager.collect(1, 5)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as nobody, short_address(gone) as address:
            nobody.bind(address)
        for turn in range(200):
            following = hooks / f"turn-{turn}"
            async with HookServer().serving(following / "hook-sidecar-0" / "a.sock"):
                with pytest.raises(HookError, match="Connection refused"):
                    await manager.shutdown()
                await HookManager(following).collect(1, 5)

    run(body())

"""The passt sidecar as virt-launcher meets it: a process, a socket, gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from fixtures.plugins.hook_sidecars.opt.hook_sidecars.wire import DefineDomain, WireError, encode_domain

PROGRAM = Path(__file__).parents[3] / "fixtures/plugins/hook_sidecars/passt-sidecar"
DOMAIN = b"<domain><devices/></domain>"
VMI = {
    "metadata": {"namespace": "ns", "name": "vm"},
    "spec": {"domain": {"devices": {"interfaces": [{"name": "default", "binding": {"name": "other-passt"}}]}}},
    "status": {"interfaces": [{"name": "default", "podInterfaceName": "eth0"}]},
}
Call = Callable[[str, bytes], bytes]


def field(number: int, content: bytes) -> bytes:
    """A short length-delimited protobuf field."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def request(vmi: object = VMI) -> bytes:
    text = json.dumps(vmi).encode()
    size = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    return field(1, DOMAIN) + bytes([2 << 3 | 2]) + size + text


@contextmanager
def sidecar(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Call]]:
    """The running process and a function that calls a method of it."""
    environment = {**os.environ, "NETWORK_BINDING_PLUGIN_NAME": "other-passt", "CONTAINER_NAME": "hook-sidecar-1"}
    argv = [sys.executable, str(PROGRAM), "--socket-directory", str(directory), *arguments]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            assert b"serving" in process.stderr.readline()
            with grpc.insecure_channel(f"unix:{directory}/passt-hook-sidecar-1.sock") as channel:
                yield process, lambda method, data: channel.unary_unary(method)(data, timeout=5)
        finally:
            process.kill()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Call]]:
    with sidecar(tmp_path) as made:
        yield made


def test_info_names_the_hooks_and_the_versions(running: tuple[subprocess.Popen[bytes], Call]) -> None:
    _, call = running
    hooks = field(3, field(1, b"OnDefineDomain")) + field(3, field(1, b"Shutdown"))
    versions = b"".join(field(4, version) for version in (b"v1alpha3", b"v1alpha2", b"v1alpha1"))
    assert call("/kubevirt.hooks.info.Info/Info", b"") == field(1, b"other-passt") + hooks + versions


def test_the_only_file_is_the_socket_named_after_the_container(
    tmp_path: Path, running: tuple[subprocess.Popen[bytes], Call]
) -> None:
    assert [path.name for path in tmp_path.iterdir()] == ["passt-hook-sidecar-1.sock"]


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2", "v1alpha3"])
def test_every_version_defines_the_domain(running: tuple[subprocess.Popen[bytes], Call], version: str) -> None:
    _, call = running
    answer = DefineDomain.decode(call(f"/kubevirt.hooks.{version}.Callbacks/OnDefineDomain", request()))
    assert b'<alias name="ua-default"/>' in answer.domain_xml


def test_two_calls_give_one_interface(running: tuple[subprocess.Popen[bytes], Call]) -> None:
    _, call = running
    method = "/kubevirt.hooks.v1alpha3.Callbacks/OnDefineDomain"
    once = call(method, request())
    vmi_field = request()[len(field(1, DOMAIN)) :]
    assert call(method, once + vmi_field) == once


def test_an_error_says_which_binding_and_why(running: tuple[subprocess.Popen[bytes], Call]) -> None:
    _, call = running
    with pytest.raises(grpc.RpcError) as caught:
        call("/kubevirt.hooks.v1alpha3.Callbacks/OnDefineDomain", request({}))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "network binding other-passt: no interface" in caught.value.details()


def test_shutdown_answers_and_ends_the_process(tmp_path: Path, running: tuple[subprocess.Popen[bytes], Call]) -> None:
    process, call = running
    assert call("/kubevirt.hooks.v1alpha3.Callbacks/Shutdown", b"") == b""
    assert process.wait(timeout=10) == 0
    assert list(tmp_path.iterdir()) == []


def test_sigterm_ends_the_process(running: tuple[subprocess.Popen[bytes], Call]) -> None:
    process, _ = running
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_fault_no_shutdown_offers_only_older_versions(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--fault", "no-shutdown") as (_, call):
        info = call("/kubevirt.hooks.info.Info/Info", b"")
    assert (b"v1alpha3" in info, b"Shutdown" in info, b"v1alpha2" in info) == (False, False, True)


def test_fault_error_refuses(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--fault", "error") as (_, call), pytest.raises(grpc.RpcError) as caught:
        call("/kubevirt.hooks.v1alpha3.Callbacks/OnDefineDomain", request())
    assert "refused on purpose" in caught.value.details()


def test_fault_slow_info_takes_longer_than_kubevirt_waits(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--fault", "slow-info") as (_, call):
        started = time.monotonic()
        call("/kubevirt.hooks.info.Info/Info", b"")
    assert time.monotonic() - started > 1


def test_a_socket_left_by_a_dead_sidecar_is_replaced(tmp_path: Path) -> None:
    with sidecar(tmp_path):
        pass
    assert (tmp_path / "passt-hook-sidecar-1.sock").exists()
    with sidecar(tmp_path) as (_, call):
        assert b"other-passt" in call("/kubevirt.hooks.info.Info/Info", b"")


@pytest.mark.parametrize("message", [b"\x0a\x05abc", b"\x0a\xff", b"\x0b", b"\x08" + b"\xff" * 11])
def test_bytes_that_are_no_message_are_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        DefineDomain.decode(message)


def test_unknown_fields_are_skipped_and_long_ones_read() -> None:
    xml = b"x" * 300
    strange = bytes([3 << 3]) + b"\x96\x01" + bytes([4 << 3 | 5]) + b"abcd" + bytes([5 << 3 | 1]) + b"abcdefgh"
    assert DefineDomain.decode(strange + encode_domain(xml)) == DefineDomain(xml, b"")

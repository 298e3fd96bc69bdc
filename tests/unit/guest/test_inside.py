"""Programs in the guest: the carrier watch on a real link, DHCP client detection, echo servers and clients."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest

from conformance.guest.carrier import CarrierWatch
from conformance.guest.dhcp import DhcpClient
from conformance.guest.echo import GuestClient, GuestConnection, GuestEcho, tool_of
from conformance.guest.root import Background, as_root
from conformance.guest.shell import GuestLacks
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.model import SkipReason
from tests.lacking import skip
from tests.unit.guest.local_shell import LocalShell
from tests.unit.plugins.namespaces import Namespace


@pytest.fixture
def guest() -> Iterator[LocalShell]:
    """Namespaces of their own for network and processes, held by a process that sleeps."""
    flags = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
    script = "mount -t sysfs sysfs /sys; mount -t proc proc /proc; ip link set lo up; echo ready; exec sleep 600"
    holder = subprocess.Popen(["unshare", *flags, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    inside = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
    yield LocalShell("nsenter", "-t", inside, "-n", "-m", "-p", "sh", "-c")
    holder.kill()
    holder.communicate()


def test_the_watch_sees_a_flap_that_nobody_looked_at(guest: LocalShell) -> None:
    guest.run("ip link add nic0 type veth peer name nic1; ip link set nic0 up; ip link set nic1 up", check=True)
    with CarrierWatch(guest) as watch:
        wait_until("the first sample", lambda: watch.read().nics(), Deadline.patience(10), every=0.05)
        guest.run("ip link set nic1 down; ip link set nic1 up", check=True)
        record = wait_until(
            "the flap", watch.read, Deadline.patience(10), until=lambda seen: seen.changes("nic0") >= 2, every=0.05
        )
        assert record.changes("nic0") == 2
    assert "sample" not in guest.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout


def client_named(directory: Path, name: str) -> str:
    """A program that sleeps under the name of a DHCP client."""
    path = directory / name
    path.symlink_to(shutil.which("sleep") or "/bin/sleep")
    return str(path)


def test_udhcpc_is_found_with_its_pid_and_told_by_signals(guest: LocalShell, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = tmp_path / "udhcpc"
    script.write_text(
        f"#!/bin/sh\ntrap 'echo renew >> {log}' USR1\ntrap 'echo release >> {log}' USR2\nwhile :; do sleep 0.1; done\n"
    )
    script.chmod(0o755)
    guest.run(f"{script} -i eth0 -f >/dev/null 2>&1 & {script} -i eth1 -f >/dev/null 2>&1 &", check=True)
    client = DhcpClient.detect(guest, "eth1")
    assert client.kind == "udhcpc"
    assert "eth1" in guest.run(f"tr '\\0' ' ' < /proc/{client.pid}/cmdline").stdout
    client.renew(guest)
    client.release_and_renew(guest)

    def told() -> list[str]:
        return log.read_text().split() if log.exists() else []

    assert wait_until("three signals", told, Deadline.patience(10), until=lambda t: len(t) == 3) == [
        "renew",
        "release",
        "renew",
    ]


def test_dhcpcd_is_found_and_none_is_said_plainly(guest: LocalShell, tmp_path: Path) -> None:
    with pytest.raises(GuestLacks, match="no DHCP client for eth0"):
        DhcpClient.detect(guest, "eth0")
    guest.run(f"{client_named(tmp_path, 'dhcpcd')} 100 >/dev/null 2>&1 &", check=True)
    assert DhcpClient.detect(guest, "eth0") == DhcpClient("dhcpcd", "eth0")


def socket_in(shell: LocalShell, port: int) -> socket.socket:
    """A connection to a port of the shell's network namespace."""
    inside = Namespace(int(shell.argv[shell.argv.index("-t") + 1]))
    return inside.inside(lambda: socket.create_connection(("127.0.0.1", port), timeout=30))


@pytest.fixture(params=["python3", "socat", "nc"])
def limited(request: pytest.FixtureRequest, guest: LocalShell, tmp_path: Path) -> LocalShell:
    """The guest with only one of the tools on its PATH, besides the usual ones."""
    tool = request.param
    found = {"python3": sys.executable, "nc": shutil.which("busybox")}.get(tool, shutil.which(tool))
    if found is None:
        skip(SkipReason.ENVIRONMENT_LACKS, f"no {tool} here")
    for program in (
        "sh",
        "sleep",
        "cat",
        "head",
        "wc",
        "cmp",
        "rm",
        "grep",
        "id",
        "nohup",
        "tr",
        "printf",
        "sed",
        "awk",
        "sort",
        "seq",
        "tee",
        "mkfifo",
        "sha256sum",
    ):
        path = shutil.which(program)
        assert path is not None
        (tmp_path / program).symlink_to(path)
    (tmp_path / tool).symlink_to(found)
    return LocalShell(*guest.argv[:-2], "env", f"PATH={tmp_path}", "/bin/sh", "-c")


def test_echo_with_whatever_tool_there_is(limited: LocalShell) -> None:
    client = GuestClient(limited)
    with GuestEcho(limited, "tcp", 777):
        assert client.tcp_connect("127.0.0.1", 777).ok
        echo = client.tcp_echo("127.0.0.1", 777, size=100_000)
        assert (echo.sent, echo.received, echo.intact) == (100_000, 100_000, True)
    assert not client.tcp_connect("127.0.0.1", 777, timeout=2).ok


def test_a_connection_that_is_kept_busy(limited: LocalShell) -> None:
    server = GuestEcho(limited, "tcp", 777)
    with GuestConnection(limited, "127.0.0.1", 777) as held:
        wait_until("answers", held.answers, Deadline.patience(30), until=lambda seen: seen >= 2)
        assert held.open()
        server.stop()
        # a server that forks leaves the connection to a child
        limited.run("for p in /proc/[0-9]*; do grep -qzx cat $p/cmdline && kill ${p#/proc/}; done 2>/dev/null; true")
        wait_until("its end", held.open, Deadline.patience(30), until=lambda seen: not seen)


def test_an_echo_server_takes_a_second_connection_while_the_first_is_open(limited: LocalShell) -> None:
    """A server that stops listening between connections would refuse some on a busy machine."""
    with GuestEcho(limited, "tcp", 777), socket_in(limited, 777) as first, socket_in(limited, 777) as second:
        for connection in (second, first):
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello"


def test_what_restarts_its_children_ends_with_them(guest: LocalShell) -> None:
    script = "while :; do sleep 777 & first=$!; for i in $(seq 200); do sleep 777 & done; wait $first; done"
    background = Background(guest, script)
    count = "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -cx 777"
    wait_until("all children", lambda: int(guest.run(count).stdout) == 201, Deadline.patience(30))
    background.stop()
    wait_until("no child is left", lambda: int(guest.run(count).stdout) == 0, Deadline.patience(10))


def test_udp_echo_where_the_tool_can(limited: LocalShell) -> None:
    if tool_of(limited) == "nc":
        with pytest.raises(GuestLacks, match="udp server needs python3 or socat, it has nc"):
            GuestEcho(limited, "udp", 778)
        return
    with GuestEcho(limited, "udp", 778):
        echo = GuestClient(limited).udp_echo("127.0.0.1", 778, flows=2, sizes=(1, 1400), timeout=2)
    assert echo.ok
    assert echo.sent == 4


def answer_one(server: socket.socket, name: str) -> None:
    """Answer one query: with an address for the name, with "no such name" for any other."""
    data, peer = server.recvfrom(4096)
    query = dns.message.from_wire(data)
    response = dns.message.make_response(query)
    if query.question[0].name.to_text() == f"{name}.":
        response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "A", "192.0.2.1"))
    else:
        response.set_rcode(dns.rcode.NXDOMAIN)
    server.sendto(response.to_wire(), peer)


def test_a_name_server_is_asked_with_python_where_nothing_better_is(limited: LocalShell) -> None:
    client = GuestClient(limited)
    if tool_of(limited) != "python3":
        with pytest.raises(GuestLacks, match="neither nslookup, dig nor python3"):
            client.ask_nameserver("127.0.0.1", "known.local")
        return
    inside = Namespace(int(limited.argv[limited.argv.index("-t") + 1]))
    with (
        inside.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server,
        ThreadPoolExecutor() as pool,
    ):
        server.bind(("127.0.0.1", 53))
        for name, known in (("known.local", True), ("other.local", False)):
            answered = pool.submit(answer_one, server, "known.local")
            assert client.ask_nameserver("127.0.0.1", name) is known
            answered.result()


def test_as_root_needs_no_sudo_for_root() -> None:
    if os.geteuid():
        skip(SkipReason.ENVIRONMENT_LACKS, "root only")
    assert LocalShell().run(as_root('echo "it\'s" $(id -u)')).stdout == "it's 0\n"

"""The console shell on a real shell behind a getty, over the websocket, also when another client takes the console."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from conformance.guest.console import ConsoleShell
from conformance.guest.image import GuestImage
from conformance.guest.shell import CommandFailed, CommandTimedOut, ConsoleUnusable
from conformance.kube.cluster import Cluster
from conformance.kube.console import Console
from tests.unit.kube.backend import Backend

IMAGE = GuestImage("an-image", "tester", "word")


@pytest.fixture
def name() -> str:
    return f"vm-{uuid4().hex[:6]}"


@pytest.fixture
def shell(cluster: Cluster, backend: Backend, name: str) -> Iterator[ConsoleShell]:
    with ConsoleShell(Console(cluster, "default", name), IMAGE, 30) as opened:
        yield opened


def test_login_and_commands_with_status_and_both_streams(shell: ConsoleShell) -> None:
    result = shell.run("echo out; echo err >&2; exit 3")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert shell.run("printf 'no newline'").stdout == "no newline"
    assert shell.run('echo "it\'s $((1 + 1))"').stdout == "it's 2\n"
    with pytest.raises(CommandFailed, match="ended with 4"):
        shell.run("exit 4", check=True)


def test_long_scripts_and_long_outputs_pass(shell: ConsoleShell) -> None:
    lines = [f"line {n} {'x' * 60}" for n in range(200)]
    script = "cat <<'END'\n" + "\n".join(lines) + "\nEND\n"
    assert shell.run(script).stdout.splitlines() == lines


def test_a_taken_console_is_taken_back_and_the_command_runs_once(
    shell: ConsoleShell, cluster: Cluster, backend: Backend, name: str
) -> None:
    shell.login()

    def intrude() -> None:
        time.sleep(0.5)
        with_console = Console(cluster, "default", name)
        with_console.connect()

    intruder = threading.Thread(target=intrude)
    intruder.start()
    result = shell.run(
        "echo once >> /tmp/kbc-$PPID-count; sleep 1.5; cat /tmp/kbc-$PPID-count; rm /tmp/kbc-$PPID-count"
    )
    intruder.join()
    assert result.stdout == "once\n"
    assert backend.consoles[name] >= 3


def test_a_command_that_hangs_is_interrupted_and_the_next_one_works(shell: ConsoleShell) -> None:
    with pytest.raises(CommandTimedOut):
        shell.run("sleep 60", timeout=1)
    assert shell.run("echo back").stdout == "back\n"


def test_a_wrong_password_is_the_environments_fault(cluster: Cluster, backend: Backend) -> None:
    wrong = GuestImage("an-image", "tester", "wrong")
    with (
        ConsoleShell(Console(cluster, "default", f"vm-{uuid4().hex[:6]}"), wrong, 3) as shell,
        pytest.raises(ConsoleUnusable, match="no shell within 3 s"),
    ):
        shell.run("true")

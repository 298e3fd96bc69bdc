"""Containers as crun runs them: identity, files, layers, exec, ends and failures."""

import pytest

from tests.sandbox.node.conftest import Observe
from tests.sandbox.node.inside import Observed

pytestmark = pytest.mark.sandbox


@pytest.fixture
def seen(inside: Observe) -> Observed:
    return inside("bench:containers")


def test_containers(seen: Observed) -> None:
    plain = seen["plain"]
    assert plain["status"] == 3
    lines = plain["text"].splitlines()
    assert lines[:2] == ["107", "107"]
    assert "CapEff:\t0000000000000000" in lines, "a user that is not root holds no capability by itself"
    assert "CapBnd:\t0000000000000400" in lines, "only NET_BIND_SERVICE may be gained"
    assert "NoNewPrivs:\t1" in lines
    assert {"COLOUR=blue", "HOSTNAME=vm"} <= set(lines)
    assert lines[-1] == "vm"
    assert plain["seconds"] < 1.0, "a container starts in 15-30 ms on an idle machine"

    files = seen["files"]["text"]
    assert "10.244.1.9\tbench\n" in files
    assert "search default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n" in files
    assert "from the volume\n" in files
    assert files.endswith("read-only\n")
    assert "net" not in files.split("/dev:")[1].split("/extra:")[0].split(), "no tun device without privileges"

    privileged = seen["privileged"]["text"]
    assert "/dev/net/tun" in privileged
    assert privileged.endswith("made\n")
    effective = int(privileged.splitlines()[0].split()[1], 16)
    assert effective >> 12 & 1, "NET_ADMIN"

    assert seen["layers"] == {"status": 0, "text": "upperhere", "written": "changed\n", "kept": "upper"}
    assert seen["left"] == ["crun"], "a deleted container leaves nothing"
    assert seen["mounts"] == []


def test_exec_and_ends(seen: Observed) -> None:
    executed = seen["exec"]
    assert (executed["stdout"], executed["stderr"], executed["status"]) == ("typed red\n", "words\n", 5)
    failed, words = executed["missing"]
    assert failed
    assert "no-such-program" in words
    greeting, answer, status = executed["terminal"]
    assert greeting == "ready\r\n"
    assert answer.endswith("40 100\r\n")
    assert status == 6
    assert executed["running"] is None
    assert executed["killed"] == 137
    assert executed["after the end"] == "container not running"
    for argv, reason in seen["failures"].items():
        wanted = "Permission denied" if argv == "/etc/passwd" else f"executable file `{argv}` not found"
        assert wanted in reason

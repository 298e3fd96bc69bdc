"""What the check of a sidecar's log finds in it."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import cast

import pytest

from conformance.evidence.redaction import redact_text
from conformance.guest.keys import GuestKeys
from fixtures.machines import Machine
from fixtures.sidecarlogs import SidecarLog
from suites.lifecycle.test_logs import test_sidecar_logs_the_network_and_no_secret as check


@pytest.fixture(scope="module")
def user_data() -> str:
    return GuestKeys.generate().user_data(hostname="vm")


def log(user_data: str, *lines: str) -> SidecarLog:
    machine = SimpleNamespace(spec=SimpleNamespace(user_data=user_data))
    return SidecarLog("\n".join(lines), cast(Machine, machine), ("green", "eth0"))


def key_line(user_data: str) -> str:
    return user_data.partition("PRIVATE KEY-----")[2].splitlines()[2].strip()


def test_a_log_that_names_the_network_passes(user_data: str) -> None:
    authorized = next(line for line in user_data.splitlines() if "ssh-ed25519" in line)
    check(log(user_data, "OnDefineDomain for team/vm/green", authorized))


def test_one_that_names_the_pods_interface_passes(user_data: str) -> None:
    check(log(user_data, "interface added: {Type:vhostuser Source:{Device:eth0}}"))


def test_one_that_names_none_is_caught(user_data: str) -> None:
    with pytest.raises(AssertionError, match="none of green, eth0"):
        check(log(user_data, "OnDefineDomain"))


def test_the_user_data_of_a_vmi_are_found(user_data: str) -> None:
    encoded = base64.b64encode(user_data.encode()).decode()
    with pytest.raises(AssertionError, match="the user data"):
        check(log(user_data, f'green {{"userDataBase64":"{encoded[:200]}'))


def test_lines_of_the_host_key_are_found(user_data: str) -> None:
    with pytest.raises(AssertionError, match="SSH host key"):
        check(log(user_data, "green", f"| {key_line(user_data)}"))


@pytest.mark.parametrize("quote", ['"', '\\"'])
def test_evidence_does_not_repeat_them(user_data: str, quote: str) -> None:
    encoded = base64.b64encode(user_data.encode()).decode()
    shown = redact_text(f"{quote}userDataBase64{quote}:{quote}{encoded}{quote},{quote}name{quote}")
    assert encoded[:40] not in shown
    assert shown.endswith(f"{quote}name{quote}")

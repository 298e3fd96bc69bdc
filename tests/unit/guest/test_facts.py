"""The facts script, run by several shells on real interfaces, and the reading of its output."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from conformance.guest.carrier import parse_carrier
from conformance.guest.facts import FACTS_SCRIPT, FactsUnreadable, Route, parse_facts
from conformance.model import SkipReason
from tests.lacking import skip
from tests.unit.guest.local_shell import LocalShell

SHELLS = [["dash", "-c"], ["bash", "-c"], ["busybox", "sh", "-c"]]

# a namespace of its own with one end of a veth pair, addressed and routed; sysfs shows the namespace's devices
SET_UP = """
mount -t sysfs sysfs /sys
ip link add nic0 address 02:00:00:00:00:0a mtu 1400 type veth peer name nic1
ip link set nic0 up; ip link set nic1 up; ip link set lo up
ip addr add 192.0.2.10/24 dev nic0; ip addr add 2001:db8::10/64 dev nic0 nodad
ip route add default via 192.0.2.1 dev nic0 metric 7
ip route add unreachable 198.51.100.0/24
"""


@pytest.mark.parametrize("shell", SHELLS, ids=["dash", "bash", "busybox"])
def test_the_script_reads_a_real_interface(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        skip(SkipReason.ENVIRONMENT_LACKS, f"no {shell[0]}")
    set_up = ("sh", "-ec", SET_UP + 'exec "$@"', "sh")
    isolated = LocalShell("unshare", "--net", "--mount", "--propagation", "private", *set_up, *shell)
    result = isolated.run(FACTS_SCRIPT, check=True)
    facts = parse_facts(result.stdout)
    nic = facts.nic("02:00:00:00:00:0A")
    assert nic is not None
    assert (nic.name, nic.mtu, nic.operstate, nic.carrier) == ("nic0", 1400, "up", True)
    assert nic.carrier_changes >= 1
    assert nic.ipv4() == (IPv4Interface("192.0.2.10/24"),)
    assert nic.global_ipv6() == (IPv6Interface("2001:db8::10/64"),)
    assert facts.default_routes() == (Route("inet", "default", "192.0.2.1", "nic0", 7),)
    assert all(route.destination != "unreachable" for route in facts.routes)
    assert {found.name for found in facts.nics} == {"nic0", "nic1"}
    assert facts.uptime > 0
    assert len(facts.boot_id) == 36


def test_noise_around_the_facts_is_passed_over() -> None:
    output = "noise\r\nfacts-begin\r\nhostname vm\r\nuptime 1.5\r\n[   2.0] eth0: link up\r\nboot_id x\r\n"
    facts = parse_facts(output + "nic eth0 02:00:00:00:00:01 1500 up 1 3 0000:01:00.0 virtio_net\r\nfacts-end\r\n$ ")
    assert (facts.hostname, facts.uptime, facts.nics[0].pci_address) == ("vm", 1.5, "0000:01:00.0")
    assert facts.nics[0].driver == "virtio_net"


@pytest.mark.parametrize("output", ["", "facts-begin\nhostname a\n", "facts-begin\nhostname a\nfacts-end\n"])
def test_half_an_output_is_no_fact(output: str) -> None:
    with pytest.raises(FactsUnreadable):
        parse_facts(output)


def test_carrier_changes_are_counted_from_the_first_sample() -> None:
    record = parse_carrier("10.0 eth0 1 4\n10.0 eth1 1 2\n11.2 eth0 0 5\n11.4 eth0 1 6\n11.5 eth")
    assert (record.changes("eth0"), record.changes("eth1"), record.changes("eth9")) == (2, 0, 0)
    assert [event.carrier for event in record.events if event.nic == "eth0"] == [True, False, True]
    assert {m.name: m.value for m in record.measurements()} == {
        "carrier changes of eth0": 2,
        "carrier changes of eth1": 0,
    }

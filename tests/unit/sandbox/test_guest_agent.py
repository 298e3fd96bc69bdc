"""The guest agent's part of a VMI's status, by the rules of KubeVirt's netstat."""

from typing import Any

import pytest

from conformance.sandbox.kubevirt.guestagent import put_agent, with_guest
from conformance.sandbox.launcher.guestagent import GuestInterface, GuestReport, is_connected, parse_report

MAC = "02:00:00:00:00:01"

# as `virsh guestinfo` of libvirt prints it, its values already split at the first colon
VALUES = {
    "os.id": "debian",
    "os.kernel-release": "6.1.0",
    "os.pretty-name": "Debian GNU/Linux 12",
    "if.count": "2",
    "if.0.name": "lo",
    "if.0.addr.count": "1",
    "if.0.addr.0.type": "ipv4",
    "if.0.addr.0.addr": "127.0.0.1",
    "if.1.name": "enp1s0",
    "if.1.hwaddr": MAC,
    "if.1.addr.0.addr": "10.0.2.2",
    "if.1.addr.0.prefix": "24",
    "if.1.addr.1.addr": "fe80::1",
}


def entry(*addresses: str, source: str = "domain") -> dict[str, Any]:
    known = {"ipAddress": addresses[0], "ipAddresses": list(addresses)} if addresses else {}
    return {"name": "default", "mac": MAC, "infoSource": source} | known


def report(*interfaces: GuestInterface) -> GuestReport:
    return GuestReport(interfaces)


def test_what_libvirt_says_of_the_guest() -> None:
    found = parse_report(VALUES)
    assert found.interfaces == (GuestInterface("enp1s0", MAC, ("10.0.2.2", "fe80::1")),)
    assert found.system == {"id": "debian", "kernelRelease": "6.1.0", "prettyName": "Debian GNU/Linux 12"}


@pytest.mark.parametrize(("state", "connected"), [("connected", True), ("disconnected", False)])
def test_the_channel_tells_whether_an_agent_is_there(state: str, connected: bool) -> None:
    target = f'<target type="virtio" name="org.qemu.guest_agent.0" state="{state}"/>'
    assert is_connected(f"<domain><devices><channel>{target}</channel></devices></domain>") is connected
    assert not is_connected("<domain><devices/></domain>")


@pytest.mark.parametrize(
    ("known", "guest", "wanted"),
    [
        (["10.244.1.5"], ["10.0.2.2", "fd10::2"], ["10.244.1.5", "fd10::2"]),
        ([], ["10.0.2.2"], ["10.0.2.2"]),
        (["10.244.1.5", "fd00::5"], ["10.0.2.2"], ["10.244.1.5"]),
        (["10.244.1.5"], [], []),
    ],
    ids=["fills an empty family", "the agent alone", "clears a family the guest has not", "clears all"],
)
def test_known_addresses_stay_and_missing_ones_are_filled(
    known: list[str], guest: list[str], wanted: list[str]
) -> None:
    (merged,) = with_guest([entry(*known)], report(GuestInterface("enp1s0", MAC, tuple(guest))))
    assert merged.get("ipAddresses", []) == wanted
    assert merged.get("ipAddress") == (wanted[0] if wanted else None)
    assert merged["interfaceName"] == "enp1s0"
    assert merged["infoSource"] == "domain, guest-agent"


def test_a_secondary_keeps_its_other_source() -> None:
    (merged,) = with_guest([entry(source="domain, multus-status")], report(GuestInterface("eth1", MAC)))
    assert merged["infoSource"] == "domain, guest-agent, multus-status"


def test_at_most_ten_interfaces_that_only_the_guest_has() -> None:
    extra = [GuestInterface(f"veth{number}", f"02:ff:00:00:00:{number:02x}", ("192.0.2.1",)) for number in range(12)]
    merged = with_guest([entry("10.244.1.5")], report(*extra))
    assert len(merged) == 11
    assert merged[1] == {
        "interfaceName": "veth0",
        "infoSource": "guest-agent",
        "mac": "02:ff:00:00:00:00",
        "ipAddress": "192.0.2.1",
        "ipAddresses": ["192.0.2.1"],
    }


def test_the_condition_comes_and_goes_with_the_agent() -> None:
    vmi: dict[str, Any] = {"status": {}}
    put_agent(vmi, parse_report(VALUES))
    assert [condition["type"] for condition in vmi["status"]["conditions"]] == ["AgentConnected"]
    assert vmi["status"]["guestOSInfo"]["id"] == "debian"
    put_agent(vmi, None)
    assert "conditions" not in vmi["status"]
    assert with_guest([entry("10.244.1.5")], None) == [entry("10.244.1.5")]

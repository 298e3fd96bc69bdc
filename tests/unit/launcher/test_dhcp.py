"""KubeVirt's own DHCP as bytes: what one client is told, and who gets no answer."""

import struct
from collections.abc import Mapping

import pytest

from conformance.sandbox.launcher.dhcp import Lease, Route, options_of, v4, v6
from conformance.sandbox.launcher.dhcp.resolver import Resolver, read_resolv_conf

MAC = "02:00:00:00:00:02"
LEASE = Lease(
    interface="k6t-eth0",
    mtu=1450,
    subdomain="sub",
    mac=MAC,
    address="10.244.1.5/24",
    server="169.254.75.10",
    router="10.244.1.1",
    routes=(Route("default", "10.244.1.1"), Route("10.244.0.0/16", "10.244.1.1"), Route("10.9.0.0/20", None)),
    options=((66, b"tftp".hex()),),
)
RESOLVER = Resolver(("10.96.0.10",), ("ns.svc.cluster.local", "cluster.local"))


def request(message_type: int, mac: str = MAC, flags: int = 0) -> bytes:
    """A client's packet with one pad and one foreign option before the message type."""
    hardware = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0xCAFE, 7, flags) + bytes(16) + hardware + bytes(192)
    return head + b"\x63\x82\x53\x63" + bytes([0, 57, 2, 4, 0, 53, 1, message_type, 255])


def told(lease: Lease = LEASE, resolver: Resolver = RESOLVER) -> Mapping[int, bytes]:
    return v4.options(lease, resolver, "vm")


def answer(packet: bytes, lease: Lease = LEASE) -> bytes | None:
    message = v4.parse(packet)
    assert message is not None
    return v4.answer(message, lease, told(lease))


def options_in(packet: bytes) -> dict[int, bytes]:
    found, area = {}, packet[240:]
    while area[0] != 255:
        found[area[0]] = area[2 : 2 + area[1]]
        area = area[2 + area[1] :]
    return found


@pytest.mark.parametrize(("asked", "answered"), [(v4.DISCOVER, v4.OFFER), (v4.REQUEST, v4.ACK)])
def test_an_answer_repeats_the_request_and_gives_the_one_address(asked: int, answered: int) -> None:
    packet = answer(request(asked))
    assert packet is not None
    assert packet[:4] == bytes([2, 1, 6, 0])
    assert struct.unpack_from("!IHH", packet, 4) == (0xCAFE, 7, 0)
    assert packet[16:20] == bytes([10, 244, 1, 5])
    assert packet[28:34].hex(":") == MAC
    found = options_in(packet)
    assert found[53] == bytes([answered])
    assert found[54] == bytes([169, 254, 75, 10])
    assert int.from_bytes(found[51], "big") == 999 * 24 * 3600


def test_what_the_guest_is_told() -> None:
    assert told() == {
        1: bytes([255, 255, 255, 0]),
        3: bytes([10, 244, 1, 1]),
        6: bytes([10, 96, 0, 10]),
        12: b"vm",
        15: b"ns.svc.cluster.local",
        26: struct.pack("!H", 1450),
        66: b"tftp",
        119: b"\x02ns\x03svc\x07cluster\x05local\x00\x07cluster\x05local\x00",
        121: bytes([16, 10, 244, 10, 244, 1, 1, 20, 10, 9, 0, 0, 0, 0, 0, 0, 10, 244, 1, 1]),
    }


def test_only_the_one_client_gets_an_answer() -> None:
    assert answer(request(v4.DISCOVER, "02:00:00:00:00:03")) is None
    anybody = Lease("b", 1500, address="10.0.2.2/24", server="10.0.2.1")
    assert answer(request(v4.DISCOVER, "02:00:00:00:00:03"), anybody) is not None


def test_other_messages_get_no_answer() -> None:
    assert answer(request(7)) is None, "a RELEASE"
    assert v4.parse(b"\x01" * 100) is None
    assert v4.parse(bytes(300)) is None
    message = v4.parse(request(v4.DISCOVER, flags=0x8000))
    assert message is not None
    assert message.broadcast


def test_search_domains_that_do_not_fit() -> None:
    with pytest.raises(v4.OptionError, match="Search domains length exceeded allowable size: was 300 long"):
        told(resolver=Resolver((), tuple(f"{'a' * 48}" for _ in range(6))))


def test_a_lease_survives_the_command_line() -> None:
    assert Lease.from_json(LEASE.to_json()) == LEASE


def test_dhcp_options_of_a_vmi() -> None:
    wanted = {
        "tftpServerName": "t",
        "bootFileName": "b",
        "ntpServers": ["10.0.0.1", "10.0.0.2"],
        "privateOptions": [{"option": 240, "value": "x"}, {"option": 12, "value": "not private"}],
    }
    expected = ((66, "74"), (67, "62"), (42, "0a0000010a000002"), (240, "78"))
    assert options_of({"name": "a", "dhcpOptions": wanted}) == expected
    assert options_of({"name": "a"}) == ()


def test_resolv_conf() -> None:
    resolver = read_resolv_conf("# made by hand\nsearch Cluster.Local svc.cluster.local\nnameserver 10.0.0.1\n")
    assert resolver == Resolver(("10.0.0.1",), ("cluster.local", "svc.cluster.local"))
    assert resolver.with_subdomain("sub").search[0] == "sub.svc.cluster.local"
    assert resolver.with_subdomain("svc") == resolver, "it is there already"
    assert read_resolv_conf("").nameservers == ("8.8.8.8",)


def dhcpv6(message_type: int, *options: tuple[int, bytes]) -> bytes:
    packed = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options)
    return bytes([message_type, 1, 2, 3]) + packed


def test_dhcpv6_gives_the_one_address() -> None:
    client = (1, b"duid")
    association = (3, b"IAID" + bytes(8))
    own_mac = bytes.fromhex("020000000000")
    for asked, rapid, answered in ((1, False, 2), (1, True, 7), (3, False, 7), (5, False, 7)):
        options = (client, association, *([(14, b"")] if rapid else []))
        packet = v6.answer(dhcpv6(asked, *options), "fd10:0:2::2", own_mac, ["10.0.0.1", "fd00::53"])
        assert packet is not None
        assert packet[:4] == bytes([answered, 1, 2, 3])
        assert b"duid" in packet
        assert b"IAID" in packet
        assert bytes.fromhex("fd100000000200000000000000000002") + struct.pack("!II", 86313600, 86313600) in packet
        assert packet.endswith(bytes.fromhex("0017 0010 fd000000000000000000000000000053"))
    assert v6.answer(dhcpv6(7, client), "fd10:0:2::2", own_mac, []) is None
    assert v6.answer(b"\x01", "fd10:0:2::2", own_mac, []) is None

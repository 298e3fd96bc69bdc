"""What the node DHCP server answers, and to whom."""

from __future__ import annotations

import json
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from fixtures.plugins.node_dhcp.opt.node_dhcp import answers, packets
from fixtures.plugins.node_dhcp.opt.node_dhcp.answers import Answers, Network
from fixtures.plugins.node_dhcp.opt.node_dhcp.main import envelope, resolver
from fixtures.plugins.node_dhcp.opt.node_dhcp.packets import (
    ACK,
    DECLINE,
    DISCOVER,
    INFORM,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    Message,
)
from fixtures.plugins.node_dhcp.opt.node_dhcp.pods import Pod, pod_behind

CLIENT, OTHER = bytes.fromhex("020000000002"), bytes.fromhex("020000000003")
ADDRESS, GATEWAY = IPv4Address("10.244.1.5"), IPv4Address("10.244.1.1")
ELSEWHERE = IPv4Address("10.244.2.9")
DNS = IPv4Address("10.96.0.10")
POD = Pod("c1", "ns", "virt-launcher-my-vm-x7k2p", "veth1", "cni0", IPv4Interface("10.244.1.5/24"), GATEWAY)
NETWORK = Network((DNS,), ("{namespace}.svc.cluster.local", "cluster.local"), {}, 3600)


def server(*faults: str, network: Network = NETWORK) -> Answers:
    return Answers(network, frozenset(faults))


def request(
    kind: int,
    wanted: IPv4Address | None = None,
    current: IPv4Address = packets.NOWHERE,
    client: bytes = CLIENT,
    chosen: IPv4Address | None = None,
) -> Message:
    options = {} if wanted is None else {packets.REQUESTED_ADDRESS: wanted.packed}
    if chosen is not None:
        options[packets.SERVER_IDENTIFIER] = chosen.packed
    return Message(1, 7, client, kind, options, current=current)


def ask(serving: Answers, message: Message, mtu: int = 1450) -> Message:
    reply = serving.answer(message, POD, mtu)
    assert reply is not None
    return reply


def test_an_offer_is_the_address_of_the_pod() -> None:
    offer = ask(server(), request(DISCOVER))
    assert (offer.kind, offer.offered, offer.transaction, offer.client) == (OFFER, ADDRESS, 7, CLIENT)


def test_an_acknowledgement_carries_the_network() -> None:
    options = ask(server(), request(REQUEST, ADDRESS, chosen=GATEWAY)).options
    assert options == {
        packets.SERVER_IDENTIFIER: GATEWAY.packed,
        packets.SUBNET_MASK: b"\xff\xff\xff\x00",
        packets.ROUTER: GATEWAY.packed,
        packets.NAMESERVERS: DNS.packed,
        packets.DOMAIN_SEARCH: packets.domain_search(("ns.svc.cluster.local", "cluster.local")),
        packets.HOST_NAME: b"my-vm",
        packets.INTERFACE_MTU: struct.pack("!H", 1450),
        packets.LEASE_TIME: struct.pack("!I", 3600),
        packets.RENEWAL_TIME: struct.pack("!I", 1800),
        packets.REBINDING_TIME: struct.pack("!I", 3150),
    }


def test_more_routes_come_with_the_default_route() -> None:
    routes = {IPv4Network("172.16.0.0/12"): GATEWAY}
    options = ask(server(network=Network(routes=routes)), request(DISCOVER)).options
    assert options[packets.CLASSLESS_ROUTES] == bytes.fromhex("0cac100af40101000af40101")


@pytest.mark.parametrize("message", [request(REQUEST, ELSEWHERE), request(REQUEST, current=ELSEWHERE)])
def test_another_address_is_refused_to_everybody_on_the_link(message: Message) -> None:
    refusal = ask(server(), message)
    assert (refusal.kind, refusal.offered) == (NAK, packets.NOWHERE)
    frame = envelope(message, refusal, b"\x0a" * 6)
    assert (frame.target, frame.target_mac) == (packets.EVERYWHERE, packets.BROADCAST_MAC)


def test_a_renewal_is_answered_to_the_address_itself() -> None:
    message = request(REQUEST, current=ADDRESS)
    renewed = ask(server(), message)
    assert (renewed.kind, renewed.offered) == (ACK, ADDRESS)
    frame = envelope(message, renewed, b"\x0a" * 6)
    assert (frame.source, frame.target, frame.target_mac) == (GATEWAY, ADDRESS, CLIENT)


def test_a_client_that_cannot_take_unicast_gets_a_broadcast() -> None:
    message = Message(1, 7, CLIENT, DISCOVER, {}, packets.BROADCAST_FLAG)
    assert envelope(message, ask(server(), message), b"\x0a" * 6).target == packets.EVERYWHERE


def test_inform_gets_the_network_and_no_lease() -> None:
    told = ask(server(), request(INFORM, current=ADDRESS))
    assert (told.kind, told.offered) == (ACK, packets.NOWHERE)
    assert packets.LEASE_TIME not in told.options


@pytest.mark.parametrize(
    "message",
    [
        request(REQUEST, ADDRESS, chosen=IPv4Address("10.244.1.77")),
        request(DECLINE, ADDRESS),
        Message(2, 7, CLIENT, OFFER),
        Message(1, 7, CLIENT, DISCOVER, relay=IPv4Address("10.0.0.1")),
    ],
    ids=["another server's", "decline", "a server's message", "relayed"],
)
def test_what_is_not_for_this_server_meets_silence(message: Message) -> None:
    assert server().answer(message, POD, 1500) is None


def test_one_pod_has_one_client_until_it_releases() -> None:
    serving = server()
    ask(serving, request(REQUEST, ADDRESS))
    assert serving.answer(request(DISCOVER, client=OTHER), POD, 1500) is None
    assert serving.answer(request(RELEASE, current=ADDRESS), POD, 1500) is None
    assert ask(serving, request(DISCOVER, client=OTHER)).offered == ADDRESS


@pytest.mark.parametrize(
    ("fault", "option"), [(answers.NO_ROUTER, packets.ROUTER), (answers.NO_DNS, packets.NAMESERVERS)]
)
def test_a_fault_takes_one_option_away(fault: str, option: int) -> None:
    sound, faulty = ask(server(), request(DISCOVER)).options, ask(server(fault), request(DISCOVER)).options
    assert set(sound) - set(faulty) == {option}


def test_fault_wrong_address() -> None:
    serving = server(answers.WRONG_ADDRESS)
    wrong = ask(serving, request(DISCOVER)).offered
    assert wrong != ADDRESS
    assert wrong in POD.address.network
    assert ask(serving, request(REQUEST, wrong)).kind == ACK


def test_fault_mtu_1400() -> None:
    assert ask(server(answers.MTU_1400), request(DISCOVER)).options[packets.INTERFACE_MTU] == struct.pack("!H", 1400)


def test_fault_pod_host_name() -> None:
    assert ask(server(answers.POD_HOST_NAME), request(DISCOVER)).options[packets.HOST_NAME] == POD.name.encode()


def test_fault_any_neighbour_acknowledges_every_address_of_the_network() -> None:
    serving = server(answers.ANY_NEIGHBOUR)
    given = ask(serving, request(REQUEST, ADDRESS + 1))
    assert (given.kind, given.offered) == (ACK, ADDRESS + 1)
    assert ask(serving, request(REQUEST, ELSEWHERE)).kind == NAK


def test_fault_any_client_gives_the_lease_to_a_second_client() -> None:
    for faults, given in ((), None), ((answers.ANY_CLIENT,), ADDRESS):
        serving = server(*faults)
        assert ask(serving, request(REQUEST, ADDRESS)).kind == ACK
        reply = serving.answer(request(DISCOVER, client=OTHER), POD, 1500)
        assert (reply and reply.offered) == given


def test_another_pod_is_called_by_its_own_name() -> None:
    assert answers.host_name("dhcp-client-0") == "dhcp-client-0"


@pytest.mark.parametrize("again", [request(REQUEST, current=ADDRESS), request(RELEASE, current=ADDRESS)])
def test_fault_once_only_ends_with_a_renewal_or_a_release(again: Message) -> None:
    serving = server(answers.ONCE_ONLY)
    assert ask(serving, request(REQUEST, ADDRESS)).kind == ACK
    assert ask(serving, request(REQUEST, ADDRESS)).kind == ACK
    assert serving.answer(again, POD, 1500) is None
    assert serving.answer(request(DISCOVER), POD, 1500) is None


def test_fault_deaf() -> None:
    assert server(answers.DEAF).answer(request(DISCOVER), POD, 1500) is None


def test_fault_deaf_after_migration_ignores_who_comes_from_another_node() -> None:
    serving = server(answers.DEAF_AFTER_MIGRATION)
    assert serving.answer(request(REQUEST, ELSEWHERE), POD, 1500) is None
    assert serving.answer(request(DISCOVER), POD, 1500) is None
    assert ask(serving, request(DISCOVER, client=OTHER)).kind == OFFER


def cache(directory: Path, **changes: object) -> Path:
    result: dict[str, object] = {
        "cniVersion": "1.0.0",
        "interfaces": [
            {"name": "cni0", "mac": "0a:00:00:00:00:01"},
            {"name": "veth1", "mac": "0a:00:00:00:00:02"},
            {"name": "eth0", "mac": "0a:00:00:00:00:03", "sandbox": "/run/netns/a"},
        ],
        "ips": [
            {"interface": 2, "address": "fd00:10:244:1::5/64", "gateway": "fd00:10:244:1::1"},
            {"interface": 2, "address": "10.244.1.5/24", "gateway": "10.244.1.1"},
        ],
        **changes,
    }
    arguments = [["IgnoreUnknown", "1"], ["K8S_POD_NAMESPACE", "ns"], ["K8S_POD_NAME", POD.name]]
    entry = {"kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "cniArgs": arguments, "result": result}
    results = directory / "results"
    results.mkdir()
    (results / "a-broken-entry").write_text("{")
    (results / "cbr0-c1-eth0").write_text(json.dumps(entry))
    return directory


def test_the_pod_is_the_one_at_the_other_end_of_the_port(tmp_path: Path) -> None:
    assert pod_behind("veth1", cache(tmp_path)) == POD


@pytest.mark.parametrize("port", ["veth2", "eth0", "cni0"])
def test_no_pod_is_behind_any_other_interface(tmp_path: Path, port: str) -> None:
    assert pod_behind(port, cache(tmp_path)) is None


@pytest.mark.parametrize("ips", [[], [{"interface": 1, "address": "10.244.1.5/24"}]])
def test_a_pod_without_an_ipv4_address_is_not_served(tmp_path: Path, ips: list[object]) -> None:
    assert pod_behind("veth1", cache(tmp_path, ips=ips)) is None


def test_no_pod_is_known_without_a_cache(tmp_path: Path) -> None:
    assert pod_behind("veth1", tmp_path / "absent") is None


def test_the_search_list_follows_the_namespace_of_the_pod(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.96.0.10\nnameserver fd00::a\nsearch node-dhcp.svc.cluster.local cluster.local\n")
    wanted = ((DNS,), ("{namespace}.svc.cluster.local", "cluster.local"))
    assert resolver(path, "node-dhcp") == wanted
    assert resolver(tmp_path / "absent", "node-dhcp") == ((), ())

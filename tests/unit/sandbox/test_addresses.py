"""Who has which address of the network that keeps a VM's."""

from __future__ import annotations

import pytest

from conformance.sandbox.network import addresses
from conformance.sandbox.network.addresses import GATEWAY, Addresses, Holder, NoAddressLeftError, own_address
from conformance.sandbox.network.pods import PodRef


def pod(uid: str, namespace: str = "shop") -> PodRef:
    return PodRef(namespace, f"pod-{uid}", uid)


def test_the_pods_of_a_vm_have_one_address_and_others_their_own() -> None:
    lent = Addresses()
    first, target = lent.claim(pod("a"), "vm"), lent.claim(pod("b"), "vm")
    assert first is target
    others = [lent.claim(pod("c"), ""), lent.claim(pod("d"), ""), lent.claim(pod("e", "other"), "vm")]
    assert len({claim.address for claim in [first, *others]}) == 4
    assert first.address.interfaces == ("10.244.128.2/17", "fd00:10:244::2/64")
    assert first.address.mac == "0a:58:0a:f4:80:02"
    assert GATEWAY.ipv4 == "10.244.128.1"
    assert own_address(1).ipv4 == "10.244.255.0"
    assert own_address(16).ipv4 == "10.244.255.15"


def test_a_vm_finds_its_address_again_and_a_pods_is_lent_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_LAST", 4)
    lent = Addresses()
    machine, plain = lent.claim(pod("a"), "vm"), lent.claim(pod("b"), "")
    machine.holders.append(Holder("node-1", "a"))
    plain.holders.append(Holder("node-1", "b"))
    with pytest.raises(NoAddressLeftError, match="no address of"):
        lent.claim(pod("c"), "")
    assert lent.of("b") is plain
    lent.release("a")
    lent.release("b")
    assert lent.of("a") is None
    assert lent.claim(pod("n"), "vm").address == machine.address
    assert lent.claim(pod("c"), "").address == plain.address

"""The tuning sidecar's edit of the domain."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from fixtures.plugins.hook_sidecars.opt.hook_sidecars.server import DomainError
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.tuning import domain

INTERFACE = (
    "<interface type='ethernet'><mac address='02:00:00:00:00:01'/><target dev='tap0' managed='no'/>"
    "<model type='virtio-non-transitional'/><mtu size='1500'/><alias name='ua-{}'/></interface>"
)
DOMAIN = f"<domain><devices>{INTERFACE.format('a')}{INTERFACE.format('b')}<disk/></devices></domain>".encode()


def interfaces(xml: bytes) -> list[ET.Element]:
    return ET.fromstring(xml).findall("./devices/interface")


def test_only_the_receive_ring_changes_and_only_once() -> None:
    once = domain.tune(DOMAIN, {"b": True}, (), monitor=False)
    assert once == domain.tune(once, {"b": True}, (), monitor=False)
    other, tuned = interfaces(once)
    assert other.find("driver") is None
    driver = tuned.find("driver")
    assert driver is not None
    assert driver.attrib == {"rx_queue_size": "512"}
    tuned.remove(driver)
    assert ET.tostring(tuned) == ET.tostring(interfaces(DOMAIN)[1])


def test_a_missing_interface_is_an_error() -> None:
    with pytest.raises(DomainError, match="ua-c"):
        domain.tune(DOMAIN, {"c": True}, (), monitor=False)


@pytest.mark.parametrize(("fault", "left"), [(domain.DROP_MTU, 2), (domain.FIRST_ONLY, 1), (domain.MAKE_UP_MAC, 2)])
def test_faults(fault: str, left: int) -> None:
    found = interfaces(domain.tune(DOMAIN, {"a": True, "b": False}, (fault,), monitor=False))
    assert len(found) == left
    assert (found[0].find("mtu") is None) == (fault == domain.DROP_MTU)
    mac = found[-1].find("mac")
    assert mac is not None
    assert (mac.get("address") != "02:00:00:00:00:01") == (fault == domain.MAKE_UP_MAC)

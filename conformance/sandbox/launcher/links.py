"""Interfaces of a running domain: what libvirt says of them, and their link state."""

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from conformance.sandbox.launcher.domain import parse_domain
from conformance.sandbox.launcher.errors import LibvirtError
from conformance.sandbox.launcher.libvirt import Libvirt

_USER_ALIAS = "ua-"
_FLAGS = ("--live", "--config")


@dataclass(frozen=True)
class DomainInterface:
    """One `<interface>` of a domain. `alias` is without libvirt's `ua-`; `queue_count` is what VMI status shows."""

    alias: str
    mac: str
    target: str | None
    link_state: Literal["up", "down"]
    model: str
    queue_count: int


def interfaces_of(domain_xml: str) -> list[DomainInterface]:
    """The interfaces of a domain in the order of its XML."""
    return [_describe(element) for element in _elements(domain_xml)]


def is_live(domain_xml: str) -> bool:
    """Whether this describes a running domain. One that has ended keeps its definition, without libvirt's aliases."""
    return parse_domain(domain_xml).get("id") is not None


async def refresh_links(
    libvirt: Libvirt,
    domain: str,
    names: Iterable[str],
    seconds: float,
    changed: Callable[[], Awaitable[None]] | None = None,
) -> list[str]:
    """Take the link of each named interface down and, `seconds` later, back to what it was; returns whom it found.

    By alias in the live XML, one after the other, as KubeVirt's link-refresh does; `changed` is told after each
    change. An interface that is down stays down. Raises LibvirtError `failed to update network <name>, err: ...`.
    """
    wanted = set(names)
    refreshed = []
    for element in _elements(await libvirt.call("dumpxml", domain)):
        name = _alias(element)
        if name not in wanted:
            continue
        await _update(libvirt, domain, element, "down", name)
        up_again = asyncio.sleep(seconds)
        await (asyncio.gather(up_again, changed()) if changed else up_again)
        await _update(libvirt, domain, element, None, name)
        if changed:
            await changed()
        refreshed.append(name)
    return refreshed


async def set_link_state(libvirt: Libvirt, domain: str, name: str, *, up: bool) -> bool:
    """Set one interface's link; False if the domain has no interface of that alias. Raises LibvirtError."""
    for element in _elements(await libvirt.call("dumpxml", domain)):
        if _alias(element) == name:
            await _update(libvirt, domain, element, "up" if up else "down", name)
            return True
    return False


async def _update(libvirt: Libvirt, domain: str, element: ET.Element, state: str | None, name: str) -> None:
    """update-device with the interface as it is, its link in the given state (None: as it is)."""
    copy = ET.fromstring(ET.tostring(element))
    if state is not None:
        for link in copy.findall("link"):
            copy.remove(link)
        ET.SubElement(copy, "link", state=state)
    try:
        await libvirt.call_with_xml("update-device", ET.tostring(copy, encoding="unicode"), (domain,), *_FLAGS)
    except LibvirtError as error:
        action = "down" if state == "down" else "up"
        text = f"failed to update network {name}, err: failed to set link {action}, err: {error.go_text}"
        raise LibvirtError(text) from error


def _elements(domain_xml: str) -> list[ET.Element]:
    return parse_domain(domain_xml).findall("./devices/interface")


def _alias(element: ET.Element) -> str:
    return _attribute(element, "alias", "name").removeprefix(_USER_ALIAS)


def _attribute(element: ET.Element, tag: str, name: str) -> str:
    child = element.find(tag)
    return child.get(name, "") if child is not None else ""


def _describe(element: ET.Element) -> DomainInterface:
    return DomainInterface(
        alias=_alias(element),
        mac=_attribute(element, "mac", "address"),
        target=_attribute(element, "target", "dev") or None,
        link_state="down" if _attribute(element, "link", "state") == "down" else "up",
        model=_attribute(element, "model", "type"),
        queue_count=int(_attribute(element, "driver", "queues") or 1),
    )

"""What the guest agent changes in a VMI's status: condition, system, and the interfaces as the guest has them.

Sources: KubeVirt v1.9 `pkg/network/setup/netstat.go` (ifacesStatusFromGuestAgent), `pkg/virt-handler/vm.go`
(updateGuestAgentConditions), `pkg/virt-launcher/virtwrap/agent-poller`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.launcher.errors import LibvirtError
from conformance.sandbox.launcher.guestagent import GuestInterface, GuestReport
from conformance.sandbox.launcher.launcher import Launcher

log = logging.getLogger(__name__)

CONNECTED: Final = "AgentConnected"
GUEST_ONLY_INTERFACES: Final = 10
FIRST_POLL_SECONDS: Final = 10.0
LAST_POLL_SECONDS: Final = 120.0
"""The agent is asked at once when it connects, then 10 s later, and then at intervals that double up to two minutes."""

_SOURCE: Final = "guest-agent"


class AgentPoller:
    """Asks the agent of one VM at virt-launcher's intervals, and remembers the last answer."""

    def __init__(self) -> None:
        self.report: GuestReport | None = None
        self._due = 0.0
        self._interval = FIRST_POLL_SECONDS

    async def poll(self, launcher: Launcher) -> None:
        """Ask if it is time. An agent that is gone takes what it said with it."""
        if not await launcher.agent_connected():
            self.report, self._due, self._interval = None, 0.0, FIRST_POLL_SECONDS
            return
        now = asyncio.get_running_loop().time()
        if self.report is not None and now < self._due:
            return
        try:
            asked_before = self.report is not None
            self.report = await launcher.ask_agent()
        except LibvirtError as error:
            log.info("%s: the guest agent does not answer: %s", launcher.domain, error)
            return
        self._interval = min(2 * self._interval, LAST_POLL_SECONDS) if asked_before else FIRST_POLL_SECONDS
        self._due = now + self._interval


def put_agent(vmi: Object, report: GuestReport | None) -> None:
    """Condition AgentConnected and guestOSInfo."""
    if report is None:
        conditions.drop(vmi, CONNECTED)
    else:
        conditions.put(vmi, CONNECTED, True)
        vmi["status"]["guestOSInfo"] = dict(report.system)


def with_guest(entries: list[Object], report: GuestReport | None) -> list[Object]:
    """The entries of status.interfaces with the guest's names and addresses, and up to ten that only the guest has.

    Known addresses stay: the agent fills an empty family, or clears one that the guest has not. An interface belongs
    to the first entry with its MAC address.
    """
    if report is None:
        return entries
    result, guest_only = list(entries), 0
    for interface in report.interfaces:
        index = next((i for i, entry in enumerate(result) if entry.get("mac", "") == interface.mac), None)
        if index is not None:
            result[index] = _merged(result[index], interface)
        elif guest_only < GUEST_ONLY_INTERFACES:
            guest_only += 1
            result.append(_guest_only(interface))
    return result


def _merged(entry: Object, interface: GuestInterface) -> Object:
    sources = [source for source in str(entry.get("infoSource", "")).split(", ") if source and source != _SOURCE]
    known = ("domain", _SOURCE)
    sources = [*known, *(source for source in sources if source not in known)]
    had = entry.get("ipAddresses") or []
    addresses: list[str] = []
    for version in (4, 6):
        ours, theirs = _of_family(had, version), _of_family(interface.addresses, version)
        addresses += ours if ours and theirs else theirs
    merged = {**entry, "interfaceName": interface.name, "infoSource": ", ".join(sources)}
    merged.pop("ipAddress", None)
    merged.pop("ipAddresses", None)
    return merged | _addresses(addresses)


def _guest_only(interface: GuestInterface) -> Object:
    mac = {"mac": interface.mac} if interface.mac else {}
    return {"interfaceName": interface.name, "infoSource": _SOURCE} | mac | _addresses(interface.addresses)


def _addresses(addresses: Sequence[str]) -> Object:
    return {"ipAddress": addresses[0], "ipAddresses": list(addresses)} if addresses else {}


def _of_family(addresses: Sequence[str], version: int) -> list[str]:
    return [address for address in addresses if ip_address(address.partition("%")[0]).version == version]

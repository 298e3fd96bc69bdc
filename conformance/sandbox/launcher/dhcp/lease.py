"""What the one client of a DHCP server is told; written by the set-up of the pod's network."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LEASE_SECONDS = 999 * 24 * 3600

_TFTP_SERVER, _BOOT_FILE, _NTP = 66, 67, 42
_PRIVATE = range(224, 255)


@dataclass(frozen=True)
class Route:
    """A classless route: `destination` as `default`, an address or a network; on the link itself without `gateway`."""

    destination: str
    gateway: str | None


@dataclass(frozen=True)
class Lease:
    """The lease and where it is served.

    `interface` is the bridge the client is behind, `mtu` in bytes, `mac` the only client that gets an answer (None: any
    does). `address` is IPv4 with prefix length, `server` the address that the answers come from; without `address`
    there is no DHCPv4, without `address6` no DHCPv6. `options` are further DHCPv4 options, code and value in
    hexadecimal.
    """

    interface: str
    mtu: int
    subdomain: str = ""
    mac: str | None = None
    address: str | None = None
    server: str | None = None
    router: str | None = None
    routes: tuple[Route, ...] = ()
    address6: str | None = None
    options: tuple[tuple[int, str], ...] = ()

    def to_json(self) -> str:
        """The lease as one line, for the program's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Lease":
        """What `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        fields["routes"] = tuple(Route(**route) for route in fields["routes"])
        fields["options"] = tuple((code, value) for code, value in fields["options"])
        return cls(**fields)


def options_of(interface: Mapping[str, object]) -> tuple[tuple[int, str], ...]:
    """The DHCP options that `dhcpOptions` of a VMI interface asks for."""
    wanted = interface.get("dhcpOptions")
    if not isinstance(wanted, dict):
        return ()
    found: list[tuple[int, bytes]] = []
    if name := wanted.get("tftpServerName"):
        found.append((_TFTP_SERVER, name.encode()))
    if name := wanted.get("bootFileName"):
        found.append((_BOOT_FILE, name.encode()))
    if servers := wanted.get("ntpServers"):
        found.append((_NTP, b"".join(bytes(map(int, server.split("."))) for server in servers)))
    for option in wanted.get("privateOptions") or []:
        if option["option"] in _PRIVATE:
            found.append((option["option"], option["value"].encode()))
    return tuple((code, value.hex()) for code, value in found)

"""The guest's own DHCP client, whichever it is: asked what it was given, to renew, or to release and start over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from conformance.guest.root import as_root
from conformance.guest.shell import CommandResult, GuestLacks, Shell

ClientKind = Literal["NetworkManager", "systemd-networkd", "dhcpcd", "udhcpc"]

# Which client manages the NIC, by what runs: a tool that is merely installed does not count.
_DETECT = r"""
nic=%s
if command -v nmcli >/dev/null 2>&1 && nmcli -t -f DEVICE,STATE device 2>/dev/null | grep -q "^$nic:connected"; then
  echo NetworkManager; exit 0
fi
if command -v networkctl >/dev/null 2>&1 && networkctl --no-pager status "$nic" 2>/dev/null | grep -q configured; then
  echo systemd-networkd; exit 0
fi
for p in /proc/[0-9]*; do
  read -r name 2>/dev/null < $p/comm || continue
  case $name in
    dhcpcd) found=dhcpcd ;;
    udhcpc|busybox)
      c=$(tr '\000' ' ' < $p/cmdline)
      case $c in *udhcpc*" -i $nic "*|*udhcpc*" -i$nic "*) echo "udhcpc ${p##*/}"; exit 0 ;; esac ;;
  esac
done
[ -n "$found" ] && echo "$found"
"""

_RENEW: dict[ClientKind, str] = {
    # a new activation of the same profile makes NetworkManager ask again for the address it holds
    "NetworkManager": 'nmcli -w 60 connection up "$(nmcli -g GENERAL.CONNECTION device show {nic})"',
    "systemd-networkd": "networkctl renew {nic}",
    "dhcpcd": "dhcpcd --renew {nic}",
    "udhcpc": "kill -USR1 {pid}",
}
_RELEASE_AND_RENEW: dict[ClientKind, str] = {
    "NetworkManager": "nmcli -w 30 device disconnect {nic} && nmcli -w 60 device connect {nic}",
    "systemd-networkd": "networkctl down {nic} && networkctl up {nic}",
    # releasing ends a dhcpcd that served this NIC alone, and is waited for; one that serves all NICs takes it up again
    "dhcpcd": "dhcpcd --release {nic}; setsid dhcpcd --nobackground {nic} >/dev/null 2>&1 </dev/null &",
    # udhcpc gives the lease back on USR2 and then waits for USR1
    "udhcpc": "kill -USR2 {pid} && sleep 1 && kill -USR1 {pid}",
}
# Each prints the options of the DHCPv4 lease that the client holds; udhcpc keeps none.
_LEASE: dict[ClientKind, str] = {
    "NetworkManager": "nmcli -t -f DHCP4 device show {nic}",
    "systemd-networkd": "cat /run/systemd/netif/leases/$(cat /sys/class/net/{nic}/ifindex)",
    "dhcpcd": "dhcpcd -4 --dumplease {nic}",
}
# The names that clients give the two options: those of dhcpcd and NetworkManager, and networkd's.
_OPTION = re.compile(r"^(?:DHCP4\.OPTION\[\d+\]:)?(interface_mtu|MTU|host_name|HOSTNAME) ?= ?'?(.*?)'?$", re.MULTILINE)
_SEARCH = re.compile(r"^DOMAIN_SEARCH_LIST=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Offered:
    """What a lease says of the NIC's MTU, in bytes, and of the guest's host name; None where it says nothing.

    ``mtu_asked`` is False where the client may not have asked for an MTU: that there is none then means nothing.
    ``search`` are the domains to search, read of systemd-networkd only: other clients hand them on to the resolver.
    """

    mtu: int | None
    host_name: str | None
    mtu_asked: bool = True
    search: tuple[str, ...] = ()


def parse_lease(text: str, *, mtu_asked: bool = True) -> Offered:
    """The options in what a client tells of its lease."""
    found = {name.lower().replace("_", ""): value.strip() for name, value in _OPTION.findall(text)}
    mtu = found.get("interfacemtu", found.get("mtu", ""))
    name = found.get("hostname", "")
    search = tuple(word for line in _SEARCH.findall(text) for word in line.split())
    return Offered(int(mtu) if mtu.isdecimal() else None, name or None, mtu_asked, search)


@dataclass(frozen=True)
class DhcpClient:
    """The client that serves ``nic``; ``pid`` is 0 for a client that is controlled by a command instead of signals."""

    kind: ClientKind
    nic: str
    pid: int = 0

    @classmethod
    def detect(cls, shell: Shell, nic: str) -> DhcpClient:
        """Find it by what runs in the guest. Raises GuestLacks when there is none we know."""
        found = shell.run(_DETECT % nic, timeout=60).stdout.split()
        kind = found[0] if found else ""
        pid = int(found[1]) if len(found) > 1 else 0
        for known in _RENEW:
            if kind == known:
                return cls(known, nic, pid)
        raise GuestLacks(
            f"{shell.guest}: no DHCP client for {nic}: neither NetworkManager, systemd-networkd, dhcpcd nor udhcpc"
        )

    @property
    def may_ignore_search(self) -> bool:
        """Whether it uses the search list of a lease only where it is told to (systemd-networkd's UseDomains=)."""
        return self.kind == "systemd-networkd"

    def offered(self, shell: Shell) -> Offered:
        """What the lease offers besides the address. Raises GuestLacks for a client that keeps no lease."""
        command = _LEASE.get(self.kind)
        if command is None:
            raise GuestLacks(f"{shell.guest}: {self.kind} keeps no record of its lease")
        told = shell.run(as_root(command.format(nic=self.nic)), timeout=60, check=True).stdout
        # systemd-networkd asks for the MTU only where it is told to use it (UseMTU=)
        return parse_lease(told.replace("\r", ""), mtu_asked=self.kind != "systemd-networkd")

    def renew(self, shell: Shell) -> CommandResult:
        """Ask the server to extend the lease. Returns when the client was told, for udhcpc before the answer."""
        return self._run(shell, _RENEW)

    def release_and_renew(self, shell: Shell) -> CommandResult:
        """Give the lease back and get a new one. Over the NIC in question this cuts the connection: use the console."""
        return self._run(shell, _RELEASE_AND_RENEW)

    def _run(self, shell: Shell, table: dict[ClientKind, str]) -> CommandResult:
        command = table[self.kind].format(nic=self.nic, pid=self.pid)
        return shell.run(as_root(command), timeout=120, check=True)

"""The network facts of a guest, frozen, and how they are read from the one script's output."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from itertools import pairwise
from typing import Literal

from conformance.guest.shell import GuestError
from conformance.kube.outcome import EnvironmentFault

Family = Literal["inet", "inet6"]


class FactsUnreadable(GuestError, EnvironmentFault):
    """The facts script ran but its output is not what it prints; the message has the offending line."""


@dataclass(frozen=True)
class GuestNic:
    """One network interface of the guest, loopback excluded.

    ``carrier`` is None when the kernel will not say (link administratively down); ``carrier_changes`` counts every loss
    and every return since boot (``/sys/class/net/*/carrier_changes``); ``pci_address`` as ``0000:01:00.0`` or empty.
    """

    name: str
    mac: str
    mtu: int
    operstate: str
    carrier: bool | None
    carrier_changes: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    pci_address: str
    driver: str

    def ipv4(self) -> tuple[IPv4Interface, ...]:
        return tuple(a for a in self.addresses if isinstance(a, IPv4Interface))

    def global_ipv6(self) -> tuple[IPv6Interface, ...]:
        return tuple(a for a in self.addresses if isinstance(a, IPv6Interface) and not a.is_link_local)


@dataclass(frozen=True)
class Route:
    """One route of the main table. ``destination`` as ``ip route`` prints it, ``default`` included."""

    family: Family
    destination: str
    gateway: str
    device: str
    metric: int


@dataclass(frozen=True)
class GuestFacts:
    """What a guest knows about itself at one moment. ``uptime`` in seconds; ``boot_id`` changes at every boot."""

    hostname: str
    uptime: float
    boot_id: str
    nics: tuple[GuestNic, ...]
    routes: tuple[Route, ...]
    nameservers: tuple[str, ...]
    search: tuple[str, ...]

    def nic(self, mac: str) -> GuestNic | None:
        """The NIC with that MAC address (case does not matter)."""
        return next((n for n in self.nics if n.mac.lower() == mac.lower()), None)

    def default_routes(self, family: Family = "inet") -> tuple[Route, ...]:
        return tuple(r for r in self.routes if r.family == family and r.destination == "default")


# Plain POSIX shell, iproute2 or BusyBox ip, /sys and /proc: runs in Fedora, Alpine and a BusyBox guest alike. It prints
# one fact a line, words separated by one blank, the first word saying which fact.
FACTS_SCRIPT = r"""
put() { printf '%s\n' "$*"; }
read_file() { cat "$1" 2>/dev/null || printf '%s' "${2:--}"; }
put facts-begin
put hostname "$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
put uptime "$(cut -d' ' -f1 /proc/uptime)"
put boot_id "$(cat /proc/sys/kernel/random/boot_id)"
for d in /sys/class/net/*; do
  n=${d##*/}
  [ "$n" = lo ] && continue
  pci=$(readlink -f "$d/device" 2>/dev/null)
  pci=$(printf '%s\n' "$pci" | grep -o '[0-9a-f]\{4\}:[0-9a-f]\{2\}:[0-9a-f]\{2\}\.[0-9a-f]' | tail -n 1)
  drv=$(readlink -f "$d/device/driver" 2>/dev/null)
  put nic "$n" "$(read_file "$d/address")" "$(read_file "$d/mtu" 0)" "$(read_file "$d/operstate")" \
    "$(read_file "$d/carrier")" "$(read_file "$d/carrier_changes" 0)" "${pci:--}" "${drv##*/}"
done
ip -o addr show 2>/dev/null | while read -r _ n family address _; do
  case $family in inet|inet6) put address "${n%%@*}" "$address" ;; esac
done
ip -4 route show 2>/dev/null | while read -r line; do put route inet "$line"; done
ip -6 route show 2>/dev/null | while read -r line; do put route inet6 "$line"; done
for f in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
  [ -r "$f" ] || continue
  while read -r key rest; do
    case $key in nameserver|search) put "$key" "$rest" ;; esac
  done < "$f"
  break
done
put facts-end
"""


def parse_facts(output: str) -> GuestFacts:
    """The facts in the output of :data:`FACTS_SCRIPT`. Lines that are none (kernel messages) are ignored.

    Raises FactsUnreadable when the end marker or a mandatory fact is missing.
    """
    lines = [line.strip() for line in output.replace("\r", "").splitlines()]
    if "facts-begin" not in lines or "facts-end" not in lines:
        raise FactsUnreadable(f"the facts script did not run to its end; output: {output[-800:]!r}")
    table: dict[str, list[list[str]]] = {}
    for line in lines[lines.index("facts-begin") + 1 : lines.index("facts-end")]:
        word, *rest = line.split()[:1] + line.split()[1:] if line else [""]
        table.setdefault(word, []).append(rest)
    try:
        return GuestFacts(
            hostname=" ".join(table["hostname"][0]),
            uptime=float(table["uptime"][0][0]),
            boot_id=table["boot_id"][0][0],
            nics=tuple(_nic(words, table.get("address", [])) for words in table.get("nic", [])),
            routes=tuple(filter(None, (_route(words) for words in table.get("route", [])))),
            nameservers=tuple(word for words in table.get("nameserver", []) for word in words[:1]),
            # systemd-resolved writes the root domain, a dot, where it was told of no domain
            search=tuple(word for words in table.get("search", []) for word in words if word != "."),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise FactsUnreadable(f"unexpected facts ({error!r}) in {output[-800:]!r}") from error


def _nic(words: list[str], addresses: list[list[str]]) -> GuestNic:
    name, mac, mtu, operstate, carrier, changes, pci, *driver = words
    return GuestNic(
        name=name,
        mac=mac,
        mtu=int(mtu),
        operstate=operstate,
        carrier={"1": True, "0": False}.get(carrier),
        carrier_changes=int(changes),
        addresses=tuple(ip_interface(address) for nic, address in addresses if nic == name),
        pci_address="" if pci == "-" else pci,
        driver=driver[0] if driver else "",
    )


def _route(words: list[str]) -> Route | None:
    family, destination, *rest = words
    if destination in ("unreachable", "blackhole", "prohibit", "multicast", "anycast", "local", "broadcast"):
        return None
    options = dict(pairwise(rest))
    return Route(
        family="inet6" if family == "inet6" else "inet",
        destination=destination,
        gateway=options.get("via", ""),
        device=options.get("dev", ""),
        metric=int(options.get("metric", 0)),
    )

"""The rules that make Services work on a node: nftables text, the whole of kube-proxy's table at once.

A packet to a Service's address is translated to one endpoint, chosen at random; with an endpoint that is its own sender
it is also masqueraded, so that the answer comes back through the node. Whatever is still addressed to a Service after
translation (no endpoint, no such port) is refused. Source: kube-proxy's nftables mode (KEP-3866).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TABLE: Final = "kube-proxy"
_MASQUERADE: Final = "0x4000"


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where a pod listens."""

    address: str
    port: int

    @property
    def dialled(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, order=True)
class ServicePort:
    """One port of a Service at one of its addresses; `protocol` is tcp, udp or sctp."""

    address: str
    protocol: str
    port: int
    endpoints: tuple[Endpoint, ...]


def service_rules(ports: Iterable[ServicePort], addresses: Iterable[str]) -> str:
    """The table for `ports`, in place of the one before. `addresses` are those of all Services."""
    served = sorted(port for port in ports if port.endpoints)
    lines = [f"table inet {TABLE} {{}}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for index, port in enumerate(served):
        lines += _port_chain(index, port)
    lines += ["chain services {", *_dispatch(served), "}"]
    for hook, priority in (("prerouting", "dstnat"), ("output", "-100")):
        lines += _base_chain(hook, f"nat hook {hook} priority {priority}", ["jump services"])
    masquerade = [f"meta mark & {_MASQUERADE} == {_MASQUERADE} masquerade"]
    lines += _base_chain("postrouting", "nat hook postrouting priority srcnat", masquerade)
    for hook in ("forward", "output"):
        lines += _base_chain(f"refuse-{hook}", f"filter hook {hook} priority filter", _refusals(addresses))
    return "\n".join([*lines, "}", ""])


def _port_chain(index: int, port: ServicePort) -> list[str]:
    family = _family(port.address)
    lines: list[str] = []
    for number, endpoint in enumerate(port.endpoints):
        lines += [
            f"chain endpoint-{index}-{number} {{",
            f"{family} saddr {endpoint.address} meta mark set meta mark | {_MASQUERADE}",
            f"meta l4proto {port.protocol} dnat {family} to {endpoint.dialled}",
            "}",
        ]
    choices = ", ".join(f"{number} : goto endpoint-{index}-{number}" for number in range(len(port.endpoints)))
    choose = f"numgen random mod {len(port.endpoints)} vmap {{ {choices} }}"
    return [*lines, f"chain service-{index} {{", choose, "}"]


def _dispatch(served: list[ServicePort]) -> list[str]:
    lines = []
    for family in ("ip", "ip6"):
        elements = [
            f"{port.address} . {port.protocol} . {port.port} : goto service-{index}"
            for index, port in enumerate(served)
            if _family(port.address) == family
        ]
        if elements:
            lines.append(f"{family} daddr . meta l4proto . th dport vmap {{ {', '.join(elements)} }}")
    return lines


def _refusals(addresses: Iterable[str]) -> list[str]:
    lines = []
    for family in ("ip", "ip6"):
        mine = sorted({address for address in addresses if _family(address) == family})
        if mine:
            lines.append(f"{family} daddr {{ {', '.join(mine)} }} reject")
    return lines


def _base_chain(name: str, hook: str, rules: list[str]) -> list[str]:
    return [f"chain {name} {{", f"type {hook}; policy accept;", *rules, "}"]


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"

"""The rules that enforce NetworkPolicy on a node: nftables text, the whole table at once.

They sit where the node forwards, for routed and for bridged packets alike (bridge-nf-call-iptables), so both ends of a
connection between two pods of one node are asked. What belongs to a connection that was allowed passes, as do a pod's
packets to itself and neighbour discovery; the node's own traffic to its pods is never asked (kubelet probes). Source:
Kubernetes documentation, "Network Policies".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

TABLE: Final = "network-policy"
_NEIGHBOURS: Final = "{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"
_ALL: Final = ("ip", "ip6")

Direction = Literal["ingress", "egress"]


@dataclass(frozen=True)
class Ports:
    """A range of ports of one protocol (tcp, udp, sctp), both ends included; every port without `first`."""

    protocol: str
    first: int | None = None
    last: int | None = None

    def match(self) -> str:
        if self.first is None:
            return f"meta l4proto {self.protocol}"
        span = str(self.first) if self.last in (None, self.first) else f"{self.first}-{self.last}"
        return f"{self.protocol} dport {span}"


@dataclass(frozen=True)
class Allowed:
    """What one rule of a policy lets through: `peers` are addresses and networks, None for everybody.

    `excluded` are networks cut out of them; no `ports` are all ports of all protocols.
    """

    peers: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()


@dataclass(frozen=True)
class Isolation:
    """One pod isolated in one direction: only what is allowed passes."""

    addresses: tuple[str, ...]
    direction: Direction
    allowed: tuple[Allowed, ...]


def policy_rules(isolations: Sequence[Isolation]) -> str:
    """The table that enforces `isolations`, in place of the one before."""
    lines = [f"table inet {TABLE} {{}}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for index, isolation in enumerate(isolations):
        lines += [f"chain pod-{index} {{", *_pod_rules(isolation), "drop", "}"]
    lines += ["chain forward {", "type filter hook forward priority 10; policy accept;"]
    lines += ["ct state established,related accept", f"icmpv6 type {_NEIGHBOURS} accept"]
    directions: tuple[tuple[Direction, str], ...] = (("egress", "saddr"), ("ingress", "daddr"))
    for direction, field in directions:
        for family in _ALL:
            elements = [
                f"{address} : jump pod-{index}"
                for index, isolation in enumerate(isolations)
                for address in isolation.addresses
                if isolation.direction == direction and _family(address) == family
            ]
            if elements:
                lines.append(f"{family} {field} vmap {{ {', '.join(elements)} }}")
    return "\n".join([*lines, "}", "}", ""])


def _pod_rules(isolation: Isolation) -> list[str]:
    peer_field = "saddr" if isolation.direction == "ingress" else "daddr"
    lines = [f"{_family(a)} saddr {a} {_family(a)} daddr {a} return" for a in isolation.addresses]
    for rule in isolation.allowed:
        ports = [f"{match.match()} " for match in rule.ports] or [""]
        for peers in _peer_matches(rule, peer_field):
            lines += [f"{peers}{match}return" for match in ports]
    return lines


def _peer_matches(rule: Allowed, field: str) -> list[str]:
    if rule.peers is None:
        return [""]
    matches = []
    for family in _ALL:
        peers, excluded = _of(family, rule.peers), _of(family, rule.excluded)
        if peers:
            but = f"{family} {field} != {{ {', '.join(excluded)} }} " if excluded else ""
            matches.append(f"{family} {field} {{ {', '.join(peers)} }} {but}")
    return matches


def _of(family: str, addresses: Iterable[str]) -> list[str]:
    return sorted({address for address in addresses if _family(address) == family})


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"

"""The cluster that the user wants from the sandbox: how many nodes, and what their pod network is like."""

from __future__ import annotations

from dataclasses import dataclass, replace

from conformance.model import Binding, ModelError
from conformance.model.binding import IP_PROVIDERS, IpProvider

_MOST_NODES = 16
_SMALLEST_MTU, _LARGEST_MTU = 1280, 65535
"""What IPv6 asks of every link (RFC 8200), and what an Ethernet interface of Linux can have."""


class ImpossibleShape(ModelError):
    """An option whose value no cluster can have, or that only the sandbox knows."""


@dataclass(frozen=True)
class Shape:
    """``nodes`` counts them; ``pod_mtu`` in bytes; ``ip_provider`` None: what the binding is for, else ``routed``."""

    nodes: int = 2
    pod_mtu: int = 1500
    ip_provider: IpProvider | None = None

    @classmethod
    def parse(cls, nodes: str = "", pod_mtu: str = "", ip_provider: str = "") -> Shape:
        """Read the three options, empty where not given. Raises ImpossibleShape."""
        shape = cls()
        if nodes:
            shape = replace(shape, nodes=_number("nodes", nodes, 1, _MOST_NODES))
        if pod_mtu:
            shape = replace(shape, pod_mtu=_number("pod-mtu", pod_mtu, _SMALLEST_MTU, _LARGEST_MTU))
        if ip_provider:
            shape = replace(shape, ip_provider=_provider(ip_provider))
        return shape

    def require(self, cluster: str) -> None:
        """Raise ImpossibleShape where something was asked for that a cluster from there cannot be given."""
        given = {name: value for name, value in self.words().items() if cluster != "sandbox" and value}
        for name, value in given.items():
            raise ImpossibleShape(f"--{name} {value}: only the sandbox's can be chosen; leave it out")

    def meant_for(self, binding: Binding) -> Shape:
        """This shape, with the IP provider that the binding is for where the user chose none."""
        return replace(self, ip_provider=self.ip_provider or binding.facts.ip_provider)

    def words(self) -> dict[str, str]:
        """The options that make this shape, by name without dashes; empty where it is as it would be anyhow."""
        return {
            "nodes": "" if self.nodes == USUAL.nodes else str(self.nodes),
            "pod-mtu": "" if self.pod_mtu == USUAL.pod_mtu else str(self.pod_mtu),
            "ip-provider": self.ip_provider or "",
        }


USUAL = Shape()


def _number(option: str, text: str, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else least - 1
    if not least <= number <= most:
        raise ImpossibleShape(f"--{option} {text}: give a whole number from {least} to {most}")
    return number


def _provider(text: str) -> IpProvider:
    for known in IP_PROVIDERS:
        if text == known:
            return known
    raise ImpossibleShape(f"--ip-provider {text}: not one of {', '.join(IP_PROVIDERS)}")

"""The NetworkPolicy controller of every node: which pods are isolated, and what reaches them all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.sandbox.client import Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.kubernetes.selectors import alive, container_port, selects
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.policies import Allowed, Direction, Isolation, Ports, policy_rules

_ALL = Key("", "policies")


class NetworkPolicies:
    """Keeps the rules of all nodes as the API has it."""

    def __init__(self, nodes: Sequence[Node], policies: Informer, pods: Informer, namespaces: Informer) -> None:
        self._nodes = nodes
        self._policies, self._pods, self._namespaces = policies, pods, namespaces
        self._applied = {node.name: "" for node in nodes}
        self.controller = Controller("network-policy", self._reconcile)
        for informer in (policies, pods, namespaces):
            self.controller.watch(informer, lambda _object: [_ALL])

    async def _reconcile(self, _key: Key) -> float | None:
        view = ClusterView(self._policies, self._pods, self._namespaces)
        await asyncio.gather(*(self._apply(node, policy_rules(view.isolations(node.name))) for node in self._nodes))
        return None

    async def _apply(self, node: Node, text: str) -> None:
        if text != self._applied[node.name]:
            await node.run("nft", "-f", "-", input=text.encode())
            self._applied[node.name] = text


@dataclass(frozen=True)
class _Peers:
    addresses: tuple[str, ...] | None
    excluded: tuple[str, ...] = ()
    receiver: Object | None = None


class ClusterView:
    """Policies, pods and namespaces at one moment. Pods in the node's own network are none of a policy's business."""

    def __init__(self, policies: Iterable[Object], pods: Iterable[Object], namespaces: Iterable[Object]) -> None:
        self._policies = sorted(policies, key=lambda policy: str(policy["metadata"]["uid"]))
        self._pods = [pod for pod in pods if alive(pod) and _addresses(pod) and not pod["spec"].get("hostNetwork")]
        self._labels = {ns["metadata"]["name"]: ns["metadata"].get("labels") or {} for ns in namespaces}

    def isolations(self, node: str) -> list[Isolation]:
        """What isolates the pods of one node, in both directions."""
        here = [pod for pod in self._pods if pod["spec"].get("nodeName") == node]
        directions: tuple[Direction, Direction] = ("ingress", "egress")
        found = (self._isolation(pod, direction) for pod in here for direction in directions)
        return [isolation for isolation in found if isolation is not None]

    def _isolation(self, pod: Object, direction: Direction) -> Isolation | None:
        mine = [policy for policy in self._policies if _applies(policy, pod, direction)]
        if not mine:
            return None
        rules = [(policy, rule) for policy in mine for rule in policy["spec"].get(direction) or []]
        allowed = [a for policy, rule in rules for a in self._allowed(policy, rule, pod, direction)]
        return Isolation(tuple(_addresses(pod)), direction, tuple(allowed))

    def _allowed(self, policy: Object, rule: Object, pod: Object, direction: Direction) -> Iterator[Allowed]:
        listed = rule.get("ports") or []
        for peers in self._sides(policy["metadata"]["namespace"], rule, direction):
            # the name of a port is the receiving pod's; nobody knows it of an address block
            receiver = pod if direction == "ingress" else peers.receiver
            ports = tuple(p for port in listed if (p := _ports(port, receiver)) is not None)
            if ports or not listed:
                yield Allowed(peers.addresses, peers.excluded, ports)

    def _sides(self, namespace: str, rule: Object, direction: Direction) -> Iterator[_Peers]:
        """The peers of a rule; pods one by one, so that each port name is told by its own pod."""
        listed = rule.get("from" if direction == "ingress" else "to")
        if not listed:
            yield _Peers(None)
        for peer in listed or []:
            if block := peer.get("ipBlock"):
                yield _Peers((str(block["cidr"]),), tuple(block.get("except") or ()))
            else:
                yield from (_Peers(tuple(_addresses(pod)), (), pod) for pod in self._peers(namespace, peer))

    def _peers(self, namespace: str, peer: Object) -> list[Object]:
        selector = peer.get("namespaceSelector")
        return [
            pod
            for pod in self._pods
            if selects(peer.get("podSelector") or {}, pod["metadata"].get("labels") or {})
            and (
                pod["metadata"]["namespace"] == namespace
                if selector is None
                else selects(selector, self._labels.get(pod["metadata"]["namespace"], {}))
            )
        ]


def _applies(policy: Object, pod: Object, direction: Direction) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    chosen = selects(spec.get("podSelector") or {}, pod["metadata"].get("labels") or {})
    return same and chosen and direction.capitalize() in types


def _ports(port: Object, receiver: Object | None) -> Ports | None:
    """A port of a rule, None for a name that the receiving pod does not have."""
    protocol, number = port.get("protocol", "TCP"), port.get("port")
    if isinstance(number, str):
        number = None if receiver is None else container_port(receiver, number, protocol)
        if number is None:
            return None
    last = port.get("endPort", number)
    return Ports(protocol.lower(), number, last)


def _addresses(pod: Object) -> list[str]:
    return [str(entry["ip"]) for entry in pod.get("status", {}).get("podIPs") or []]

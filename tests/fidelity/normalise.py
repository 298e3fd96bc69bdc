"""Names for what is different in every run: addresses, MACs, uids, generated names, nodes, images of the set-up.

A value is replaced by a placeholder that says whose it is (`<ip of virt-launcher-v-1>`), never by a bare `<ip>` where
an owner is known: what was equal before is equal after, and what differed still differs. Placeholders do not depend on
when a value was first seen, only on the order in which its owners were created.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from tests.fidelity.recording import ApiEvent, Json, Object, dig, objects, text

NETWORK_STATUS: Final = "k8s.v1.cni.cncf.io/network-status"
RECORDED_NETWORK: Final = "podnet"
"""The recorded cluster's default network; another name is learnt from network-status."""
_GENERATED: Final = re.compile(r"^(virt-launcher-.+-|kubevirt-evacuation-)[a-z0-9]{5}$")
_UID: Final = re.compile(r"\b(?:uid-\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")
_HEX: Final = re.compile(r"\b(?:hex64-\d+|[0-9a-f]{64})\b")
_MAC: Final = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b", re.IGNORECASE)
_IPV4: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| [+]0000 UTC)")
_PORTS: Final = re.compile(r"on ports: \d+(?:,\d+)*")
_IMAGES: Final = (
    (re.compile(r"\b[\w./-]+/virt-launcher(?=[:@])"), "<registry>/virt-launcher"),
    (re.compile(r"\bregistry\.local/h2guest-disk(?=[:@])"), "<guest image>"),
)
_API_SERVER: Final = re.compile(r"https://[\w.\[\]:]+:\d+(?=/)")
_IPV6_CIDR: Final = re.compile(r" ?(?<![\w:])[0-9a-f]{0,4}:[0-9a-f:]*:[0-9a-f:]*/\d{1,3}\b")
_CNI_PATH: Final = re.compile(r"in path \[[^\]]*\]")


class Normaliser:
    """Placeholders for one observation. Build it from all of its events, then use it on every value."""

    def __init__(self, events: Iterable[ApiEvent]) -> None:
        self._names: dict[str, str] = {}
        self._uids: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._macs: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._network = RECORDED_NETWORK
        known = list(events)
        for event in known:
            self._learn_name(event)
        for event in known:
            if event.kind == "Pod":
                self._learn_pod(event)
        for event in known:
            if event.kind == "VirtualMachineInstance":
                self._learn_vmi(event)
        self._words = self._pattern()

    def text(self, value: str) -> str:
        """`value` with every placeholder put in."""
        for pattern, image in _IMAGES:
            value = pattern.sub(image, value)
        value = _TIME.sub("<time>", _HEX.sub("<id>", _API_SERVER.sub("https://<api server>", value)))
        value = _PORTS.sub("on ports: <ports>", _IPV6_CIDR.sub("", value))
        value = _UID.sub(lambda m: self._uids.get(m[0], "<uid>"), value)
        value = _MAC.sub(lambda m: self._macs.get(m[0].lower(), "<mac>"), value)
        value = _IPV4.sub(lambda m: self._addresses.get(m[0], "<ip>"), value)
        value = _CNI_PATH.sub("in path [<CNI path>]", value)
        value = value.replace(f" from {self._network}", " from <pod network>")
        return self._words.sub(lambda m: self._names.get(m[0]) or self._nodes[m[0]], value) if self._words else value

    def value(self, value: Json) -> Json:
        """`value` with placeholders in every string and key; IPv6 addresses dropped from lists of addresses.

        The recorded cluster had one address family, so a second one says nothing about KubeVirt.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value if not _is_ipv6(item)]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def name(self, name: str) -> str:
        """The stable name of an object."""
        return self._names.get(name, name)

    def node(self, name: str) -> str:
        """The stable name of a node."""
        return self._nodes.get(name, name)

    def recorded_names(self) -> dict[str, str]:
        """Generated name by stable name."""
        return {stable: name for name, stable in self._names.items()}

    def _learn_name(self, event: ApiEvent) -> None:
        if (match := _GENERATED.match(event.name)) and event.kind != "Event" and event.name not in self._names:
            number = 1 + sum(stable.startswith(match[1]) for stable in self._names.values())
            self._names[event.name] = f"{match[1]}{number}"
        uid = text(dig(event.object, "metadata", "uid"))
        if uid and uid not in self._uids and event.kind != "KubeVirt":
            owner = f"uid of {event.kind} {self.name(event.name)}"
            again = sum(known.startswith(f"<{owner}") for known in self._uids.values())
            self._uids[uid] = f"<{owner} #{again + 1}>" if again else f"<{owner}>"

    def _learn_pod(self, event: ApiEvent) -> None:
        pod = self.name(event.name)
        if node := text(dig(event.object, "spec", "nodeName")):
            self._nodes.setdefault(node, f"node-{'ABCDEFGH'[len(self._nodes)]}")
        for entry in objects(dig(event.object, "status", "podIPs")):
            self._addresses.setdefault(text(entry.get("ip")), f"<ip of {pod}>")
        for entry in network_status(event.object):
            if mac := text(entry.get("mac")).lower():
                self._macs.setdefault(mac, f"<mac of {pod} {text(entry.get('interface'))}>")
            if entry.get("default") is True:
                self._network = text(entry.get("name"))

    def _learn_vmi(self, event: ApiEvent) -> None:
        for place in (("spec", "domain", "devices", "interfaces"), ("status", "interfaces")):
            for entry in objects(dig(event.object, *place)):
                mac = text(entry.get("mac") or entry.get("macAddress")).lower()
                if mac:
                    self._macs.setdefault(mac, f"<mac of {event.name} {text(entry.get('name'))}>")

    def _pattern(self) -> re.Pattern[str] | None:
        words = sorted([*self._names, *self._nodes], key=len, reverse=True)
        return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, words)) + r")(?![\w-])") if words else None


def network_status(pod: Object) -> list[Object]:
    """The entries of a pod's network-status annotation; none when it is absent or no JSON."""
    annotation = text(dig(pod, "metadata", "annotations", NETWORK_STATUS))
    try:
        return objects(json.loads(annotation)) if annotation else []
    except ValueError:
        return []


def canonical(value: Json) -> str:
    """`value` as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _is_ipv6(value: Json) -> bool:
    candidate = text(value.get("ip")) if isinstance(value, dict) and list(value) == ["ip"] else text(value)
    return bool(re.fullmatch(r"[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:./]*", candidate)) and not _MAC.fullmatch(candidate)


def unique(values: Iterable[Json]) -> list[Json]:
    """`values` without those equal to the one before."""
    result: list[Json] = []
    for value in values:
        if not result or result[-1] != value:
            result.append(value)
    return result

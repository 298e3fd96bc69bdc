"""The networking parts of a launcher pod as facts."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.fidelity.normalise import NETWORK_STATUS, network_status, unique
from tests.fidelity.recording import Json, Object, dig, items, mapping, objects, text

NETWORKS = "k8s.v1.cni.cncf.io/networks"
_ANNOTATION_DOMAINS = ("kubevirt.io/", "k8s.v1.cni.cncf.io/", "v1.multus-cni.io/")
_CONTAINER_KEYS = ("env", "ports", "volumeMounts", "securityContext", "resources", "imagePullPolicy")


def pod_facts(states: list[Object]) -> Iterator[tuple[str, Json]]:
    """Facts of one pod, from all its states. Pods that are no launchers have none."""
    last = states[-1]
    if dig(last, "metadata", "labels", "kubevirt.io") != "virt-launcher":
        return
    yield "phases", " > ".join(text(phase) for phase in unique(dig(state, "status", "phase") for state in states))
    for name, ending in _endings(last):
        yield f"container {name} ended", ending
    yield from _annotation_facts(states)
    labels = mapping(dig(last, "metadata", "labels"))
    yield "labels", {key: value for key, value in labels.items() if "kubevirt.io" in key}
    yield "securityContext", dig(last, "spec", "securityContext")
    for volume in objects(dig(last, "spec", "volumes")):
        yield f"volume {text(volume.get('name'))}", {key: value for key, value in volume.items() if key != "name"}
    yield "containers", [container.get("name") for container in objects(dig(last, "spec", "containers"))]
    for container in objects(dig(last, "spec", "containers")):
        yield from _container_facts(container)


def _endings(pod: Object) -> Iterator[tuple[str, Json]]:
    for status in objects(dig(pod, "status", "containerStatuses")):
        terminated = mapping(dig(status, "state", "terminated"))
        if terminated:
            yield text(status.get("name")), f"{text(terminated.get('reason'))}({terminated.get('exitCode')})"


def _annotation_facts(states: list[Object]) -> Iterator[tuple[str, Json]]:
    """The annotations of KubeVirt and Multus as they were at last; network-status entry by entry."""
    annotations = mapping(dig(states[-1], "metadata", "annotations"))
    for key, value in annotations.items():
        if not key.startswith(_ANNOTATION_DOMAINS) or key == NETWORK_STATUS:
            continue
        yield f"annotation {key}", _parsed(text(value)) if key == NETWORKS else value
    for entry in network_status(states[-1]):
        name = "<pod network>" if entry.get("default") is True else entry.get("name")
        # one gateway for each address family; the recorded cluster had one
        gateway: Object = {"gateway": unique(items(entry["gateway"]))} if "gateway" in entry else {}
        yield f"network-status {text(entry.get('interface'))}", {**entry, **gateway, "name": name}


def _container_facts(container: Object) -> Iterator[tuple[str, Json]]:
    name = text(container.get("name"))
    if name != "compute" and not name.startswith("hook-sidecar-"):
        return
    keys = _CONTAINER_KEYS if name == "compute" else (*_CONTAINER_KEYS, "image", "command", "args")
    for key in keys:
        value = container.get(key)
        if value not in (None, [], {}):
            yield f"{name} {key}", value
    command = [text(word) for word in items(container.get("command"))]
    if name == "compute" and "--hook-sidecars" in command:
        yield "compute --hook-sidecars", command[command.index("--hook-sidecars") + 1]


def _parsed(annotation: str) -> Json:
    try:
        value: Json = json.loads(annotation)
    except ValueError:
        return annotation
    return value

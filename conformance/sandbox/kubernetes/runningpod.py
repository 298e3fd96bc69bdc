"""What a kubelet holds of a pod that it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from conformance.sandbox.kubernetes.deviceplugins import PodDevices
from conformance.sandbox.kubernetes.podstatus import PodStates
from conformance.sandbox.kubernetes.volumes import PodVolumes
from conformance.sandbox.launcher.container import Container
from conformance.sandbox.launcher.oci import DeviceNode
from conformance.sandbox.network.podnet import PodRef


@dataclass
class RunningPod:
    """What the kubelet holds of a pod that it runs."""

    ref: PodRef
    states: PodStates
    volumes: PodVolumes
    logs: Path
    netns: str | None = None
    devices: PodDevices = field(default_factory=PodDevices)
    device_nodes: dict[str, tuple[DeviceNode, ...]] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    watchers: set[asyncio.Task[None]] = field(default_factory=set)
    inert: set[str] = field(default_factory=set)
    scratch: set[Path] = field(default_factory=set)
    set_up: bool = False
    initialised: bool = False
    terminating: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the pod's containers have been told to end."""

    def containers_began(self) -> bool:
        """Whether any of its containers (not those of its initialisation) has started."""
        return any(state.phase != "waiting" for state in self.states.main.values())

    def end_inert(self) -> None:
        """A containerDisk's container ends once every container with a program has."""
        states = self.states.main
        if all(state.phase == "terminated" for name, state in states.items() if name not in self.inert):
            for name in self.inert & states.keys():
                if states[name].phase == "running":
                    states[name].end(0)

    def log_file(self, container: str) -> Path:
        return self.logs / f"{container}.log"

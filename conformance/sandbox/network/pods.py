"""The words of a pod's network: which pod, what it got, what was said about it."""

from dataclasses import dataclass, field

Json = dict[str, object]


@dataclass(frozen=True)
class PodRef:
    """Which pod: the three names that every message uses."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class PodEvent:
    """An Event to record on the pod. `component` is `multus` or `kubelet`; `type` is `Normal` or `Warning`."""

    reason: str
    message: str
    type: str = "Normal"
    component: str = "multus"


@dataclass(frozen=True)
class PodNetworkResult:
    """A pod's network, set up.

    `netns` is the name in the node's /run/netns; `sandbox_id` the 64 hexadecimal digits that CNI calls the container
    id; `pod_ips` have the primary family first; `network_status` are the entries of the annotation
    `k8s.v1.cni.cncf.io/network-status`, in Multus' order and with its keys.
    """

    netns: str
    sandbox_id: str
    pod_ips: tuple[str, ...]
    network_status: list[Json]
    events: tuple[PodEvent, ...] = ()


@dataclass(frozen=True)
class CniRecord:
    """One CNI invocation: what a vendor reads when a plugin misbehaves."""

    container_id: str
    command: str
    plugin: str
    ifname: str
    stdin: str
    stdout: str
    stderr: str
    returncode: int
    seconds: float


class PodNetworkError(Exception):
    """A pod's network could not be set up, or not be torn down.

    `message` is the kubelet's event text, of reason `reason` (`FailedCreatePodSandBox` or `FailedKillPod`); `events`
    are all events to record on the pod in order, that one last.
    """

    def __init__(self, reason: str, message: str, events: tuple[PodEvent, ...] = ()) -> None:
        self.reason = reason
        self.message = message
        self.events = (*events, PodEvent(reason, message, "Warning", "kubelet"))
        super().__init__(message)


@dataclass
class EventLog:
    """Events in the order in which they happened."""

    events: list[PodEvent] = field(default_factory=list)

    def add(self, reason: str, message: str, type: str = "Normal") -> None:
        self.events.append(PodEvent(reason, message, type))

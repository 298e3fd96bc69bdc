"""What a kubelet reports of a pod: container states, conditions and phase."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from conformance.sandbox.client import Object
from conformance.sandbox.events import timestamp
from conformance.sandbox.images import image_id

_SIGKILLED: Final = 137
_UNKNOWN: Final = "The container could not be located when the pod was terminated"


@dataclass
class ContainerState:
    """One container as the kubelet knows it. `reason` and `message` explain `waiting` and `terminated`."""

    phase: Literal["waiting", "running", "terminated"] = "waiting"
    reason: str = "PodInitializing"
    message: str = ""
    exit_code: int = 0
    started: str = ""
    finished: str = ""
    restarts: int = 0
    probed: bool = True
    """What its readiness probe says; true where it has none."""

    def wait(self, reason: str, message: str = "") -> None:
        self.phase, self.reason, self.message = "waiting", reason, message

    def run(self) -> None:
        self.phase, self.reason, self.message, self.started = "running", "", "", timestamp()

    def end(self, exit_code: int) -> None:
        self.phase, self.exit_code, self.finished = "terminated", exit_code, timestamp()
        self.reason = "Completed" if exit_code == 0 else "Error"

    def give_up(self) -> None:
        """The pod ends before the container could start."""
        if self.phase == "waiting":
            self.end(_SIGKILLED)
            self.reason, self.message = "ContainerStatusUnknown", _UNKNOWN

    @property
    def ready(self) -> bool:
        return self.phase == "running" and self.probed

    def as_status(self, container: Object) -> Object:
        """A ContainerStatus."""
        state: Object
        if self.phase == "waiting":
            state = {"waiting": {"reason": self.reason} | ({"message": self.message} if self.message else {})}
        elif self.phase == "running":
            state = {"running": {"startedAt": self.started}}
        else:
            times = {"startedAt": self.started or None, "finishedAt": self.finished}
            message = {"message": self.message} if self.message else {}
            state = {"terminated": {"exitCode": self.exit_code, "reason": self.reason, **message, **times}}
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": image_id(container["image"]) if self.phase != "waiting" else "",
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.phase == "running",
            "state": state,
        }


@dataclass
class PodStates:
    """All containers of one pod, and its addresses once the network is there."""

    init: dict[str, ContainerState] = field(default_factory=dict)
    main: dict[str, ContainerState] = field(default_factory=dict)
    pod_ips: tuple[str, ...] = ()
    sandbox_ready: bool = False
    torn_down: bool = False
    """Nothing will run any more: the pod is being deleted and its containers have been ended."""
    started: str = field(default_factory=timestamp)

    @classmethod
    def of(cls, pod: Object) -> PodStates:
        spec = pod["spec"]
        init = {c["name"]: ContainerState() for c in spec.get("initContainers") or []}
        waiting = "PodInitializing" if init else "ContainerCreating"
        return cls(init, {c["name"]: ContainerState(reason=waiting) for c in spec["containers"]})

    def phase(self, pod: Object) -> str:
        """Pending until every container has started; Succeeded or Failed once all have ended for good."""
        if any(s.phase == "terminated" and s.exit_code for s in self.init.values()):
            return "Failed"
        states = list(self.main.values())
        if self.torn_down:
            return "Succeeded" if all(s.phase == "terminated" and not s.exit_code for s in states) else "Failed"
        if any(s.phase == "waiting" and not s.restarts for s in states):
            return "Pending"
        if pod["spec"].get("restartPolicy", "Always") != "Always" and all(s.phase == "terminated" for s in states):
            return "Failed" if any(s.exit_code for s in states) else "Succeeded"
        return "Running"

    def as_status(self, pod: Object, host_ip: str) -> Object:
        """The `status` of the pod; conditions of others (readiness gates) are kept."""
        spec, phase = pod["spec"], self.phase(pod)
        status: Object = {
            "phase": phase,
            "startTime": self.started,
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
            "conditions": self._conditions(pod, phase),
            "containerStatuses": [self.main[c["name"]].as_status(c) for c in spec["containers"]],
        }
        if spec.get("initContainers"):
            status["initContainerStatuses"] = [self.init[c["name"]].as_status(c) for c in spec["initContainers"]]
        if self.pod_ips:
            status |= {"podIP": self.pod_ips[0], "podIPs": [{"ip": ip} for ip in self.pod_ips]}
        return status

    def _conditions(self, pod: Object, phase: str) -> list[Object]:
        old = {c["type"]: c for c in pod.get("status", {}).get("conditions", [])}
        done = phase in ("Succeeded", "Failed") and all(s.phase != "waiting" for s in self.main.values())
        completed = "PodFailed" if phase == "Failed" else "PodCompleted"
        initialised = all(s.phase == "terminated" and not s.exit_code for s in self.init.values())
        unready = sorted(name for name, s in self.main.items() if not s.ready)
        gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
        closed = [gate for gate in gates if old.get(gate, {}).get("status") != "True"]
        wanted = [_condition("PodReadyToStartContainers", self.sandbox_ready and not done)]
        wanted.append(_condition("Initialized", initialised, completed if done else "", ""))
        if done:
            wanted += [_condition(kind, False, completed) for kind in ("ContainersReady", "Ready")]
        else:
            message = f"containers with unready status: [{' '.join(unready)}]"
            wanted.append(_condition("ContainersReady", not unready, "ContainersNotReady", message))
            if not unready and closed:
                why = f'corresponding condition of pod readiness gate "{closed[0]}" does not exist.'
                if gate := old.get(closed[0]):
                    why = f'the status of pod readiness gate "{closed[0]}" is not "True", but {gate["status"]}'
                wanted.append(_condition("Ready", False, "ReadinessGatesNotReady", why))
            else:
                wanted.append(_condition("Ready", not unready, "ContainersNotReady", message))
        kept = [c for kind, c in old.items() if kind not in {w["type"] for w in wanted}]
        return [_settled(c, old.get(c["type"])) for c in wanted] + kept


def _condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Object:
    condition: Object = {"type": kind, "status": "True" if holds else "False", "lastProbeTime": None}
    explained = not holds or reason in ("PodCompleted", "PodFailed")
    return condition | {k: v for k, v in (("reason", reason), ("message", message)) if v and explained}


def _settled(condition: Object, old: Object | None) -> Object:
    """The condition with its transition time: the old one's unless the status turned."""
    same = old is not None and old["status"] == condition["status"]
    return condition | {"lastTransitionTime": old["lastTransitionTime"] if same and old else timestamp()}

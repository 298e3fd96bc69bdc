"""Replaying a recording: the same requests in the same order, waiting for what its driver waited for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Final

from tests.fidelity import streams
from tests.fidelity.http import Api
from tests.fidelity.normalise import Normaliser
from tests.fidelity.recorder import Recorder
from tests.fidelity.recording import (
    Answer,
    Json,
    Object,
    Observation,
    Recording,
    Step,
    Wait,
    dig,
    labelled,
    objects,
    text,
)
from tests.fidelity.scenarios import AT_ONCE, DOMAIN_BEFORE, MOMENTS, PAUSE_SECONDS, PAUSES, adapted
from tests.fidelity.waits import condition, http_guest, launchers

log = logging.getLogger(__name__)

_FIRST_ERROR: Final = 400
_MET_SECONDS: Final = 45.0
_HOPELESS_SECONDS: Final = 10.0
"""What a wait gets after one before it failed: the story is another one already."""
_UNMET_SECONDS: Final = 40.0
"""Longest that is waited for what did not come in the recording either."""
_SETTLE_SECONDS: Final = 3.0
_HTTP_PAUSE_SECONDS: Final = 1.0
_JSON_PATCH: Final = "application/json-patch+json"

KillSidecar = Callable[[], None]


class Replay:
    """One run of one recording. `kill_sidecar` kills the sidecar's process from outside, as the driver did."""

    def __init__(self, api: Api, recorder: Recorder, recording: Recording, kill_sidecar: KillSidecar) -> None:
        self._api, self._recorder, self._recording, self._kill = api, recorder, recording, kill_sidecar
        self._recorded_names = Normaliser(recording.seen.events).recorded_names()
        self._answers: list[Answer] = []
        self._waits: list[Wait] = []
        self._domains: dict[str, Object] = {}
        self._steps = 0
        self._failed = False

    def run(self) -> Observation:
        """Do it all; what was seen."""
        clock = 0
        for entry in self._recording.script:
            begin = entry.at_ms - entry.took_ms if isinstance(entry, Wait) else entry.at_ms
            if not self._is_race(entry):
                self._pause((begin - clock) / 1000)
            if isinstance(entry, Wait):
                self._wait(entry)
            else:
                self._step(entry)
            clock = entry.at_ms
        self._recorder.pause(_SETTLE_SECONDS)
        seen = self._recording.seen
        return Observation(
            scenario=seen.scenario,
            namespace=seen.namespace,
            events=self._recorder.seen(),
            answers=tuple(self._answers),
            waits=labelled(self._waits),
            domains=self._domains,
        )

    def _is_race(self, entry: Step | Wait) -> bool:
        """Whether what follows is to be met early: the sandbox is through with it in the time of the recorded pause."""
        name = entry.what if isinstance(entry, Wait) else entry.answer.step
        return name.startswith("pod for ") or name in AT_ONCE.get(self._recording.scenario, ())

    def _pause(self, seconds: float) -> None:
        longest = PAUSES.get(self._recording.scenario, PAUSE_SECONDS)
        if seconds > 0:
            self._recorder.pause(min(seconds, longest))

    def _wait(self, wait: Wait) -> None:
        longest = max(_UNMET_SECONDS, PAUSES.get(self._recording.scenario, 0))
        limit = max(_MET_SECONDS, wait.took_ms / 1000 * 1.5) if wait.met else min(longest, wait.took_ms / 1000)
        if wait.met and self._failed:
            limit = _HOPELESS_SECONDS
        log.info("wait: %s", wait.what)
        guest = http_guest(wait.what)
        met = self._http(guest, limit) if guest else self._recorder.wait(condition(self._recorder, wait.what), limit)
        self._failed |= wait.met and not met
        self._waits.append(Wait(wait.at_ms, wait.what, met, 0))

    def _http(self, vmi: str, limit: float) -> bool:
        """Whether the guest answers HTTP through portforward in time."""
        path = streams.subresource(self._recording.seen.namespace, vmi, "portforward/80")
        until = time.monotonic() + limit
        while time.monotonic() < until:
            if text(streams.portforward(self._api, path).get("first_bytes")).startswith("HTTP/"):
                return True
            self._recorder.pause(_HTTP_PAUSE_SECONDS)
        return False

    def _step(self, step: Step) -> None:
        self._steps += 1
        self._look_at_domain(step)
        if moment := MOMENTS.get(self._recording.scenario, {}).get(step.answer.step):
            self._recorder.wait(condition(self._recorder, moment), _MET_SECONDS)
        if step.action.startswith("console") and not any(a.step.startswith("portforward_") for a in self._answers):
            self._extra_requests()
        log.info("step: %s", step.action)
        if step.command:
            self._command(step)
        elif step.request:
            self._request(step)

    def _request(self, step: Step) -> None:
        method, _, path = (step.request or "").partition(" ")
        path = self._renamed(path)
        body: Json = step.jsonpatch
        content = _JSON_PATCH if step.jsonpatch is not None else "application/json"
        if step.manifest is not None:
            content = "application/merge-patch+json" if method == "PATCH" else "application/json"
            body = json.loads(self._renamed(json.dumps(adapted(step.manifest))))
        reply = self._api.send(method, path, body, content=content)
        refused = reply.body if reply.code >= _FIRST_ERROR else {}
        self._answers.append(Answer(step.answer.step, reply.code, refused))

    def _command(self, step: Step) -> None:
        """A stream, the kill of the sidecar, or what was typed at the guest's console."""
        command, label = step.command or "", step.answer.step
        if command.startswith("websocket "):
            path = command.split()[1]
            recorded = step.answer.streams
            accept = "application/json" if dig(recorded, "plain_GET", "code") == 406 else "*/*"
            plain = streams.plain_get(self._api, path, accept)
            if path.endswith("/console"):
                result = streams.console(self._api, path, second="first_client_afterwards" in recorded)
            else:
                result = {"ws": streams.portforward(self._api, path)}
            self._answers.append(Answer(label, streams={"plain_GET": plain, **result}))
        elif "kill the sidecar" in step.action:
            self._kill()
        elif step.action.startswith("guest: set pod IP"):
            self._address_guest()

    def _address_guest(self) -> None:
        """Give the guest its pod's address by hand: nothing serves DHCP on the recorded network."""
        vmi = self._recorder.get("VirtualMachineInstance", "v")
        address = text(dig((objects(dig(vmi, "status", "interfaces")) or [{}])[0], "ipAddress"))
        gateway = address.rpartition(".")[0] + ".1"
        command = f"ip addr flush dev eth0; ip addr add {address}/24 dev eth0; ip route replace default via {gateway}"
        streams.guest_shell(self._api, self._recording.seen.namespace, "v", command)

    def _extra_requests(self) -> None:
        """The GETs that the driver made beside its steps: `portforward_<vmi>_<rest of the path>`."""
        for answer in self._recording.seen.answers:
            if answer.step.startswith("portforward_"):
                vmi, _, rest = answer.step.removeprefix("portforward_").partition("_")
                path = streams.subresource(self._recording.seen.namespace, vmi, f"portforward/{rest}")
                self._answers.append(Answer(answer.step, streams={"plain_GET": streams.plain_get(self._api, path)}))

    def _look_at_domain(self, step: Step) -> None:
        """The domain's interfaces at the moments the recording has them."""
        wanted = self._recording.seen.domains
        before = DOMAIN_BEFORE.get(self._recording.scenario)
        first = step.action == before if before else self._steps == 2
        for moment in wanted:
            due = step.action.startswith("delete ") if moment.startswith("after_") else first
            if due and moment not in self._domains:
                self._domains[moment] = self._domain()

    def _domain(self) -> Object:
        vmi = self._recorder.get("VirtualMachineInstance", "v")
        node = dig(vmi, "status", "nodeName")
        for pod in launchers(self._recorder):
            if dig(pod, "spec", "nodeName") == node and dig(pod, "status", "phase") == "Running":
                name = text(dig(pod, "metadata", "name"))
                try:
                    return streams.domain(self._api, self._recording.seen.namespace, name, "v")
                except OSError as error:
                    log.warning("%s: no domain: %s", self._recording.scenario, error)
        return {}

    def _renamed(self, words: str) -> str:
        """`words` with the recorded generated names replaced by those of this run."""
        here = Normaliser(self._recorder.seen()).recorded_names()
        for stable, recorded in self._recorded_names.items():
            if stable in here:
                words = words.replace(recorded, here[stable])
        return words

"""Reading the recordings: what a driver did to a real KubeVirt v1.9.0, and what the API showed.

The format is described in `tests/data/recordings/README.md`. Whoever was recorded, both end as an `Observation`: the
facts are extracted from that type only, so that a recording and the sandbox are read by the same code.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Object: TypeAlias = "dict[str, Json]"

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"
TABLES = frozenset({"admission-v1.9.0", "rbac-v1.9.0", "timings"})
"""Recordings that are no scenarios: answers, roles and figures."""


_GLANCE_MS = 1_000
"""A wait that was given up sooner measured how quick the recorded machine was, and says nothing else."""
LEFT_OUT = {"cancel-migration": ("Scheduled", "Pulled", "Created", "Started", "Killing")}
"""Reasons of Pod events that a recording leaves out (its key `dropped`): they are no facts of that scenario."""


@dataclass(frozen=True)
class ApiEvent:
    """One watch event: `object` is the whole state after it (before it, when `type` is DELETED).

    `at_ms` is milliseconds since the recorder started.
    """

    at_ms: int
    type: str
    kind: str
    name: str
    object: Object


@dataclass(frozen=True)
class Answer:
    """What a step got back: HTTP code and, of an error, the Status object; `streams` of a stream's attempts."""

    step: str
    code: int | None = None
    body: Object = field(default_factory=dict)
    streams: Object = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One thing the driver did: a request with its body, a JSON patch, or a command outside the API."""

    at_ms: int
    action: str
    request: str | None
    manifest: Object | None
    jsonpatch: list[Json] | None
    command: str | None
    answer: Answer


@dataclass(frozen=True)
class Wait:
    """One thing the driver waited for, for `took_ms`; `met` says whether it came."""

    at_ms: int
    what: str
    met: bool
    took_ms: int


@dataclass(frozen=True)
class Observation:
    """All that one scenario showed, on whatever cluster it ran.

    `domains` maps the moment (`domain_interfaces`, `after_domain_interfaces`) to `{"interface": [xml, ...],
    "qemu_args_net": [xml, ...], "memoryBacking": xml | None}`. `waits` maps a wait's label to whether it came.
    """

    scenario: str
    namespace: str
    events: tuple[ApiEvent, ...]
    answers: tuple[Answer, ...] = ()
    waits: tuple[tuple[str, bool], ...] = ()
    domains: Mapping[str, Object] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A recorded scenario: what was done, in order, and what was seen."""

    title: str
    script: tuple[Step | Wait, ...]
    seen: Observation

    @property
    def scenario(self) -> str:
        return self.seen.scenario

    @property
    def bindings(self) -> Object:
        """The registrations of the KubeVirt CR when the scenario began."""
        for event in self.seen.events:
            if event.kind == "KubeVirt":
                return mapping(dig(event.object, "spec", "configuration", "network", "binding"))
        return {}


class RecordingError(ValueError):
    """A file is not a recording of a scenario."""


def mapping(value: Json) -> Object:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Json) -> list[Json]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def objects(value: Json) -> list[Object]:
    """The objects of a list; empty for anything else."""
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: Json) -> str:
    """`value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def dig(value: Json, *path: str) -> Json:
    """What lies at `path` below `value`, None where it ends before."""
    for key in path:
        value = mapping(value).get(key)
    return value


def scenario_names(directory: Path = RECORDINGS) -> list[str]:
    """Names of the recorded scenarios: every recording but the tables."""
    return sorted(path.stem for path in directory.glob("*.json") if path.stem not in TABLES)


def load(scenario: str, directory: Path = RECORDINGS) -> Recording:
    """The recording of `scenario`. Raises RecordingError for a file without steps, FileNotFoundError for none."""
    document: Json = json.loads((directory / f"{scenario}.json").read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("steps"), list):
        raise RecordingError(f"{scenario}: no recording of a scenario: it has no steps")
    steps = [_step(index, step) for index, step in enumerate(objects(document["steps"]), 1)]
    waits = _waits(objects(dig(document, "outcome", "waits")))
    domains = {key: mapping(value) for key, value in _observed(document).items() if key.endswith("domain_interfaces")}
    extra = [Answer(key, streams={"plain_GET": value}) for key, value in _observed(document).items() if _is_answer(key)]
    seen = Observation(
        scenario=scenario,
        namespace=text(document.get("namespace")),
        events=replayed(objects(document["events"])),
        answers=(*(step.answer for step in steps), *extra),
        waits=labelled(waits),
        domains=domains,
    )
    script: list[Step | Wait] = [*waits, *steps]
    script.sort(key=lambda entry: (entry.at_ms, isinstance(entry, Step)))
    return Recording(text(document.get("title")), tuple(script), seen)


def labelled(waits: list[Wait]) -> tuple[tuple[str, bool], ...]:
    """Waits with a label that is unique in the scenario: the same words again get a number."""
    count: dict[str, int] = {}
    result = []
    for wait in waits:
        count[wait.what] = count.get(wait.what, 0) + 1
        result.append((f"{wait.what} ({count[wait.what]})", wait.met))
    return tuple(result)


def replayed(entries: list[Object]) -> tuple[ApiEvent, ...]:
    """Watch events with whole objects, from the recorded first states and patches."""
    states: dict[tuple[str, str], Json] = {}
    events = []
    for entry in entries:
        kind, name = text(entry["kind"]), text(entry.get("name") or dig(entry["object"], "name"))
        if "object" in entry:
            states[kind, name] = entry["object"]
        else:
            states[kind, name] = merged(states.get((kind, name)), entry["patch"])
        state = mapping(copy.deepcopy(states[kind, name]))
        at = entry["t"]
        events.append(ApiEvent(int(at) if isinstance(at, (int, float)) else 0, text(entry["type"]), kind, name, state))
    return tuple(events)


def merged(state: Json, patch: Json) -> Json:
    """RFC 7386 merge of `patch` into `state`, with the recordings' `{"$by": key, item: patch}` for lists of objects."""
    if not isinstance(patch, dict):
        return patch
    if isinstance(by := patch.get("$by"), str):
        changes = {key: value for key, value in patch.items() if key != "$by"}
        return [merged(item, changes.get(text(item.get(by)), {})) for item in objects(state)]
    result = dict(mapping(state))
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _step(index: int, step: Object) -> Step:
    at, code = step["at_ms"], step.get("code")
    answer = Answer(
        step=f"{index} {text(step['action'])}",
        code=code if isinstance(code, int) else None,
        body=mapping(step.get("body")),
        streams=mapping(step.get("result")),
    )
    patch = step.get("jsonpatch")
    manifest = step.get("manifest")
    return Step(
        at_ms=int(at) if isinstance(at, (int, float)) else 0,
        action=text(step["action"]),
        request=text(step.get("request")) or None,
        manifest=manifest if isinstance(manifest, dict) else None,
        jsonpatch=patch if isinstance(patch, list) else None,
        command=text(step.get("command")) or None,
        answer=answer,
    )


def _waits(entries: list[Object]) -> list[Wait]:
    def number(value: Json) -> int:
        return int(value) if isinstance(value, (int, float)) else 0

    waits = [
        Wait(number(entry["at_ms"]), text(entry["wait"]), entry["ok"] is True, number(entry["took_ms"]))
        for entry in entries
    ]
    return [wait for wait in waits if wait.met or wait.took_ms >= _GLANCE_MS]


def _observed(document: Object) -> Object:
    return mapping(dig(document, "outcome", "observations"))


def _is_answer(key: str) -> bool:
    return key.startswith("portforward_") and key != "portforward_v_80"

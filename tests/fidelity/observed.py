"""Observations as files: what was seen on the sandbox is kept beside the report, and can be compared again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tests.fidelity.recording import Answer, ApiEvent, Json, Observation, dig, items, mapping, objects, text


def save(seen: Observation, directory: Path) -> Path:
    """Write an observation; the file."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{seen.scenario}.json"
    file.write_text(json.dumps(asdict(seen), indent=1), encoding="utf-8")
    return file


def load(scenario: str, directory: Path) -> Observation:
    """Read one back. Raises FileNotFoundError."""
    document: Json = json.loads((directory / f"{scenario}.json").read_text(encoding="utf-8"))
    state = mapping(document)
    return Observation(
        scenario=text(state["scenario"]),
        namespace=text(state["namespace"]),
        events=tuple(_event(entry) for entry in objects(state["events"])),
        answers=tuple(_answer(entry) for entry in objects(state["answers"])),
        waits=tuple((text(items(pair)[0]), items(pair)[1] is True) for pair in items(state["waits"])),
        domains={moment: mapping(domain) for moment, domain in mapping(state["domains"]).items()},
    )


def _event(entry: Json) -> ApiEvent:
    at = dig(entry, "at_ms")
    return ApiEvent(
        at if isinstance(at, int) else 0,
        text(dig(entry, "type")),
        text(dig(entry, "kind")),
        text(dig(entry, "name")),
        mapping(dig(entry, "object")),
    )


def _answer(entry: Json) -> Answer:
    code = dig(entry, "code")
    return Answer(
        text(dig(entry, "step")),
        code if isinstance(code, int) else None,
        mapping(dig(entry, "body")),
        mapping(dig(entry, "streams")),
    )

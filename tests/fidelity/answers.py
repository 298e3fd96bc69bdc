"""Answers to requests and streams, and the domain's interfaces, as facts."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from tests.fidelity.recording import Answer, Json, Object, items, mapping, text

_FIRST_ERROR = 400


def answer_facts(answers: tuple[Answer, ...]) -> Iterator[tuple[str, Json]]:
    """Code of every answer; message, reason and causes of every refusal."""
    for answer in answers:
        if answer.code is not None:
            yield f"answer to {answer.step}: code", answer.code
            if answer.code >= _FIRST_ERROR:
                yield f"answer to {answer.step}: status", refusal(answer.body)
        for attempt, result in answer.streams.items():
            if attempt == "second_client":
                continue  # the recorded one ended by the driver's own doing
            yield from _stream_facts(f"stream {answer.step} {attempt}", result)


def refusal(body: Object) -> Object:
    """What a Status object says: message, reason, causes."""
    details = mapping(body.get("details"))
    said = {"message": body.get("message"), "reason": body.get("reason"), "causes": details.get("causes")}
    return {key: value for key, value in said.items() if value}


def _stream_facts(title: str, result: Json) -> Iterator[tuple[str, Json]]:
    if not isinstance(result, dict):
        yield f"{title}", _closed(text(result))
        return
    code = result.get("code")
    yield f"{title} code", code
    if isinstance(code, int) and code >= _FIRST_ERROR:
        yield f"{title} says", refusal(_status(result.get("body")))
    elif "first_bytes" in result:
        yield f"{title} carries an HTTP answer", text(result["first_bytes"]).startswith("HTTP/")


def _closed(said: str) -> str:
    """Whether a websocket client saw its stream closed: client libraries word it differently."""
    return "closed" if "Closed" in said or "closed" in said else "open"


def _status(body: Json) -> Object:
    """The Status in an answer: as an object, as JSON text, or after a line of plain text."""
    if isinstance(body, dict) and "raw" not in body:
        return body
    raw = text(body["raw"]) if isinstance(body, dict) else text(body)
    start = raw.find("{")
    try:
        return mapping(json.loads(raw[start:])) if start >= 0 else {"message": raw.strip()}
    except ValueError:
        return {"message": raw.strip()}


def domain_facts(domain: Object) -> Iterator[tuple[str, Json]]:
    """Every `<interface>` by its alias, the qemu arguments of networking, and memoryBacking."""
    for element in items(domain.get("interface")):
        xml = ET.fromstring(text(element))
        alias = xml.find("alias")
        yield f"<interface> {alias.get('name') if alias is not None else '(no alias)'}", _canonical(xml)
    yield (
        "<memoryBacking>",
        _canonical(ET.fromstring(text(backing))) if (backing := domain.get("memoryBacking")) else "",
    )
    yield "qemu arguments", [re.sub(r"\s+", " ", text(argument)) for argument in items(domain.get("qemu_args_net"))]


def _canonical(element: ET.Element) -> str:
    for part in element.iter():
        part.text = part.text.strip() if part.text and part.text.strip() else None
        part.tail = None
    return ET.canonicalize(ET.tostring(element, encoding="unicode"))

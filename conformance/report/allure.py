"""Files that Allure reads beside its results: facts of the run, and what its statuses mean here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_CATEGORIES = (
    {"name": "Violated requirements", "matchedStatuses": ["failed"]},
    {"name": "Inconclusive: the environment failed", "matchedStatuses": ["broken"]},
    {"name": "Not declared by the binding", "matchedStatuses": ["skipped"], "messageRegex": "(?s).*not-declared.*"},
    {"name": "Skipped", "matchedStatuses": ["skipped"]},
)


def write_allure_environment(directory: Path, facts: Mapping[str, str]) -> None:
    """Write ``environment.properties`` and ``categories.json`` into a directory of Allure results, which is created.

    ``facts`` are shown in the order given. Names and values are escaped as Java properties.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{_escape(name, key=True)}={_escape(value, key=False)}\n" for name, value in facts.items()]
    (directory / "environment.properties").write_text("".join(lines), encoding="ascii")
    (directory / "categories.json").write_text(json.dumps(_CATEGORIES, indent=2) + "\n", encoding="ascii")


def _escape(text: str, *, key: bool) -> str:
    escaped = "".join(_escape_character(character, key=key) for character in text)
    return "\\" + escaped if escaped.startswith(" ") and not key else escaped


def _escape_character(character: str, *, key: bool) -> str:
    simple = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in simple:
        return simple[character]
    if key and character in " :=#!":
        return "\\" + character
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2], 'big'):04x}" for at in range(0, len(units), 2))

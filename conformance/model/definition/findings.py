"""Collects the problems of one file while it is read, so that a vendor sees all of them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from conformance.model.jsonvalue import JsonValue, get_path
from conformance.model.problem import Problem, Severity

FieldPath: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a document."""

_SHOWN_CHARACTERS = 80


def field_text(path: FieldPath) -> str:
    """Write a path as one would: ``spec.artifacts.images[0].layer``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def shown(value: JsonValue) -> str:
    """Write a value for a message: compact JSON, cut after 80 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


class Findings:
    """The problems found in one file so far.

    ``lines`` maps field paths to line numbers (from 1); a path that is not there takes the line of its nearest parent.
    """

    def __init__(self, file: Path, lines: Mapping[FieldPath, int] | None = None, data: JsonValue = None) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.cut: frozenset[FieldPath] = frozenset()
        """List items left out since, by their place in the file: places noted from then on are counted without them."""
        self._lines = {} if lines is None else lines
        self._data = data

    def error(self, path: FieldPath, message: str, fix: str, *, value: str | None = None) -> None:
        """Note an error at ``path``; the value shown is what stands there, unless given."""
        self._note(path, message, fix, value, Severity.ERROR)

    def warn(self, path: FieldPath, message: str, fix: str, *, value: str | None = None) -> None:
        """Note a warning at ``path``."""
        self._note(path, message, fix, value, Severity.WARNING)

    @property
    def errors(self) -> list[Problem]:
        """The problems that make the file unusable."""
        return [problem for problem in self.problems if problem.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Problem]:
        """The problems that do not."""
        return [problem for problem in self.problems if problem.severity is Severity.WARNING]

    def line(self, path: FieldPath) -> int:
        """Return the line of a field or of its nearest parent, 0 if the file has none."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    def has_error(self, path: FieldPath) -> bool:
        """Tell whether an error was noted at a field or inside it."""
        field = field_text(path)
        inside = (f"{field}.", f"{field}[")
        return any(problem.field == field or problem.field.startswith(inside) for problem in self.errors)

    def _in_file(self, path: FieldPath) -> FieldPath:
        """Return the place in the file of a field, counting the list items that were left out."""
        result: FieldPath = ()
        for key in path:
            place = key
            if isinstance(place, int):
                for left_out in sorted(item[-1] for item in self.cut if item[:-1] == result):
                    place += isinstance(left_out, int) and left_out <= place
            result = (*result, place)
        return result

    def _note(self, path: FieldPath, message: str, fix: str, value: str | None, severity: Severity) -> None:
        path = self._in_file(path)
        if value is None:
            found = get_path(self._data, *path) if path else None
            value = "" if found is None else shown(found)
        self.problems.append(Problem(self.file, field_text(path), value, message, fix, self.line(path), severity))

"""Writes a report as ``report.yaml`` and reads it back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from conformance.model import (
    ModelError,
    Report,
)
from conformance.report.convert import from_file, to_file
from conformance.report.files import ReportFile

FILE_NAME = "report.yaml"


class ReportFileError(ModelError):
    """A report file that cannot be read or contradicts itself; ``problems`` holds one sentence each."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{path} is no sound report", *problems]))


_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""Line breaks of YAML 1.1 besides the newline, which only a double-quoted text keeps as they are."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that messages can be read."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if _OTHER_BREAKS.search(text):
        style: str | None = '"'
    else:
        style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_report(report: Report, directory: Path) -> Path:
    """Write ``report.yaml`` into a directory, which is created, and return its path. Replaces an older one at once."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(dump_report(report), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def read_report(path: Path) -> Report:
    """Read a report file.

    Raises:
        ReportFileError: it cannot be read, has another form, or its verdict does not follow from its requirements.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportFileError(path, [str(error)]) from error
    return parse_report(text, path)


def dump_report(report: Report) -> str:
    """Return a report as YAML text. A lone surrogate (bytes of a guest that were no UTF-8) becomes its escape."""
    file = to_file(report)
    data = file.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def parse_report(text: str, path: Path) -> Report:
    """Read a report from YAML text; ``path`` is for messages.

    Raises:
        ReportFileError: see `read_report`.
    """
    try:
        data = yaml.load(text, Loader=_PlainLoader)
        file = ReportFile.model_validate_json(json.dumps(data), by_alias=True, by_name=False)
        report = from_file(file)
    except yaml.YAMLError as error:
        raise ReportFileError(path, [f"not YAML: {error}"]) from error
    except ValidationError as invalid:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors()]
        raise ReportFileError(path, problems) from invalid
    except (TypeError, ModelError) as error:
        raise ReportFileError(path, [str(error)]) from error
    problems = _contradictions(file, report)
    if problems:
        raise ReportFileError(path, problems)
    return report


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without dates: the model reads them."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _contradictions(file: ReportFile, report: Report) -> list[str]:
    """The parts of a report that follow from its requirements, where they say something else."""
    expected = to_file(report)
    problems = []
    if file.judgement != expected.judgement:
        said, found = file.judgement.verdict.value, expected.judgement.verdict.value
        problems.append(f"judgement: says {said}, which the requirements do not give; they give {found}")
    if file.profiles != expected.profiles:
        problems.append("profiles: results or statistics differ from what the requirements give")
    return problems

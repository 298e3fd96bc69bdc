"""Writes a report as JUnit XML, for the systems that show test results."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from conformance.model import Entry, Report, UpstreamResult, UpstreamSuite, Verdict
from conformance.report.upstream import TITLE as UPSTREAM

FILE_NAME = "junit.xml"

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(report: Report, directory: Path) -> Path:
    """Write ``junit.xml`` into a directory, which is created, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    path.write_text(dump_junit(report), encoding="utf-8")
    return path


def dump_junit(report: Report) -> str:
    """Return a report as JUnit XML: a suite per family, a case per requirement.

    Non-conformant is a failure, inconclusive an error, everything undecided is skipped. Times are seconds.
    """
    label = report.binding.mutant or report.binding.name
    root = ET.Element("testsuites", {"name": _text(f"binding conformance of {label}"), **_totals(report.entries)})
    for family, members in groupby(report.entries, key=lambda entry: entry.family):
        entries = list(members)
        suite = ET.SubElement(root, "testsuite", {"name": _text(family), **_totals(entries)})
        suite.set("timestamp", report.date.isoformat(timespec="seconds"))
        for entry in entries:
            _add_case(suite, entry, label)
    if report.upstream is not None:
        _add_upstream(root, report.upstream)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _totals(entries: Iterable[Entry]) -> dict[str, str]:
    members = list(entries)

    def count(*verdicts: Verdict) -> str:
        return str(sum(1 for entry in members if entry.verdict in verdicts))

    return {
        "tests": str(len(members)),
        "failures": count(Verdict.NON_CONFORMANT),
        "errors": count(Verdict.INCONCLUSIVE),
        "skipped": count(Verdict.SKIPPED, Verdict.NOT_DECLARED),
        "time": f"{sum(entry.outcome.seconds for entry in members):.3f}",
    }


def _add_case(suite: ET.Element, entry: Entry, label: str) -> None:
    outcome = entry.outcome
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_text(f"{label}.{entry.family}"),
        name=_text(f"{entry.id} {entry.title}"),
        time=f"{outcome.seconds:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in (("requirement", entry.id), ("level", entry.level.value), ("verdict", entry.verdict.value)):
        ET.SubElement(properties, "property", name=name, value=value)
    element = _RESULT.get(entry.verdict)
    if element is not None:
        first_line = outcome.message.partition("\n")[0] or entry.verdict.value
        result = ET.SubElement(case, element, message=_text(first_line))
        if element != "skipped":
            result.set("type", f"{entry.level.value} {entry.verdict.value}")
            result.text = _text(outcome.message)
    lines = [f"{m.name}: {m.value:g} {m.unit} ({m.method})" for m in outcome.measurements]
    lines += [f"evidence: {path}" for path in outcome.evidence]
    if lines:
        ET.SubElement(case, "system-out").text = _text("\n".join(lines))


def _add_upstream(root: ET.Element, upstream: UpstreamSuite) -> None:
    """A suite of its own, outside of the totals, which are of our requirements."""
    counts = {"tests": str(len(upstream.cases)), "failures": str(len(upstream.failed))}
    suite = ET.SubElement(root, "testsuite", {"name": UPSTREAM, **counts, "errors": "0", "skipped": "0"})
    suite.set("time", f"{upstream.seconds:.3f}")
    for case in upstream.cases:
        element = ET.SubElement(
            suite, "testcase", classname=UPSTREAM, name=_text(case.name), time=f"{case.seconds:.3f}"
        )
        if case.result is UpstreamResult.FAILED:
            first_line = case.message.partition("\n")[0]
            ET.SubElement(element, "failure", message=_text(first_line)).text = _text(case.message)
    if upstream.trouble:
        ET.SubElement(suite, "system-err").text = _text(upstream.trouble)


_RESULT = {
    Verdict.NON_CONFORMANT: "failure",
    Verdict.INCONCLUSIVE: "error",
    Verdict.SKIPPED: "skipped",
    Verdict.NOT_DECLARED: "skipped",
}


def _text(text: str) -> str:
    """Replace what XML 1.0 cannot hold."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)

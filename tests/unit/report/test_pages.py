"""The report as a page, as JUnit XML, on the terminal, and Allure's facts."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from rich.console import Console

from conformance.model import Mode, Outcome, Report, Skip, SkipReason, Verdict
from conformance.report import (
    dump_junit,
    print_report,
    render_html,
    write_allure_environment,
    write_html,
    write_junit,
)
from conformance.report.markup import Markup, join, tag
from tests.unit.report import samples


class Page(HTMLParser):
    """The elements of a page, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, attributes in self.elements for name, value in attributes.items() if name in names]

    def rows(self) -> dict[str, dict[str, str | None]]:
        found = [attributes for tag, attributes in self.elements if tag == "details" and "id" in attributes]
        return {str(attributes["id"]): attributes for attributes in found}


@pytest.fixture
def page() -> Page:
    return Page(render_html(samples.report(), families={"reg": "Registration"}, sources={"S-UG": "User guide"}))


def test_the_page_asks_nobody_else() -> None:
    html = render_html(samples.report())
    page = Page(html)

    targets = page.attributes("href", "src", "srcset", "action", "data", "poster")
    assert targets
    assert all(target.startswith(("#", "./")) for target in targets)
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "img", "iframe", "object", "embed", "base"})
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    script = re.search(r"<script>(.*?)</script>", html, re.S)
    assert style is not None
    assert script is not None
    assert not re.search(r"url\(|@import|https?:|//", style[1])
    assert not re.search(r"https?:|fetch|XMLHttpRequest|import", script[1])


def test_the_page_escapes_everything(page: Page) -> None:
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert page.unbalanced == []
    assert "<script>alert(1)</script>" in page.text
    assert "Title of REG-001 <b>" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_evidence_links_stay_relative(page: Page) -> None:
    links = [unquote(target) for target in page.attributes("href") if target.startswith("./")]

    assert links == [f"./{path}" for outcome in samples.OUTCOMES for path in outcome.evidence]


def test_each_requirement_is_a_row_with_its_filter(page: Page) -> None:
    assert {id_: row["data-filter"] for id_, row in page.rows().items()} == {
        "REG-001": "conformant",
        "DHCP-002": "non-conformant",
        "MIG-009": "inconclusive",
        "SEC-005": "skipped",
        "VM-003": "no-check",
        "V6-001": "not-declared",
    }


def test_what_went_wrong_is_open(page: Page) -> None:
    assert [id_ for id_, row in page.rows().items() if "open" in row] == ["DHCP-002", "MIG-009"]


def test_the_page_tells_the_facts(page: Page) -> None:
    for text in (
        "demo-no-router",
        "A mutant of demo: faulty on purpose",
        "Demo <Ltd> / demo 1.10",
        "non-conformant",
        "Sandbox: a rehearsal, never a certificate",
        "Not certified",
        "v1.9.0",
        "v1.36.2",
        "1 min 23 s",
        "2026-11-24 10:30 UTC",
        "4.75 s",
        "create to Running",
        "S-UG: User guide",
        "Registration",
        "kubevirt too old",
    ):
        assert text in page.text


def test_a_sound_certificate_has_no_obstacles() -> None:
    report = samples.report(Outcome("A-001", Verdict.CONFORMANT, 0.0), mutant="", mode=Mode.KIND)
    page = Page(render_html(report))

    assert "Why this is no certificate" in page.text
    assert "mutant" not in page.text


@settings(deadline=None, max_examples=30)
@given(samples.reports())
def test_any_report_makes_a_balanced_page_and_sound_xml(report: Report) -> None:
    assert Page(render_html(report)).unbalanced == []
    assert ET.fromstring(dump_junit(report)).tag == "testsuites"


def test_files_are_written(tmp_path: Path) -> None:
    page = write_html(samples.report(), tmp_path / "out")
    junit = write_junit(samples.report(), tmp_path / "out")

    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ET.parse(junit).getroot().get("tests") == "6"


def test_markup_escapes_text_and_attributes() -> None:
    made = tag("a", {"href": 'x" onclick="y', "hidden": "", "title": None}, "<b>", Markup("<i></i>"), None)

    assert made.html == '<a href="x&quot; onclick=&quot;y" hidden>&lt;b&gt;<i></i></a>'
    assert str(join(tag("br"), "&")) == "<br>&amp;"


def test_junit_has_a_case_per_requirement() -> None:
    root = ET.fromstring(dump_junit(samples.report()))

    totals = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert totals == {"tests": "6", "failures": "1", "errors": "1", "skipped": "3"}
    cases = {str(case.get("name")).split()[0]: case for case in root.iter("testcase")}
    failure = cases["DHCP-002"].find("failure")
    error = cases["MIG-009"].find("error")
    assert failure is not None
    assert failure.get("type") == "MUST non-conformant"
    assert "line two" in (failure.text or "")
    assert error is not None
    assert error.get("message") == "the node went away"
    assert cases["V6-001"].find("skipped") is not None
    assert cases["DHCP-002"].get("time") == "30.500"
    assert "start: 4.75 s (create to Running)" in (cases["REG-001"].findtext("system-out") or "")


def printed(report: Report, width: int = 100, *, everything: bool = False) -> list[str]:
    stream = StringIO()
    print_report(report, Console(file=stream, width=width, color_system=None), everything=everything)
    return stream.getvalue().splitlines()


def test_the_terminal_has_one_line_per_requirement() -> None:
    lines = printed(samples.report())

    assert [line.split()[0] for line in lines[:4]] == ["ID", "REG-001", "DHCP-002", "MIG-009"]
    assert lines[1].split()[-2:] == ["conformant", "1.2"]
    assert lines[4].startswith("not shown: ")
    assert {"1 not declared", "1 no check", "1 kubevirt too old"} == set(
        lines[4].removeprefix("not shown: ").split(", ")
    )
    assert "DHCP-002 MUST non-conformant" in lines
    assert any(line.startswith("demo-no-router: non-conformant (1 conformant, 1 non-conformant") for line in lines)


def test_the_terminal_shows_everything_when_asked() -> None:
    lines = printed(samples.report(), everything=True)

    assert [line.split()[0] for line in lines[1:7]] == [outcome.requirement for outcome in samples.OUTCOMES]


def test_unproven_requirements_are_shown() -> None:
    skip = Skip(SkipReason.ENVIRONMENT_LACKS, "one node")
    lines = printed(samples.report(Outcome("MIG-003", Verdict.SKIPPED, skip=skip)))

    assert lines[1].split()[0] == "MIG-003"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_id_verdict_and_seconds_survive_any_width(width: int) -> None:
    line = printed(samples.report(), width)[2]

    assert len(line) <= width
    assert (line.split()[0], line.split()[-2:]) == ("DHCP-002", ["non-conformant", "30.5"])


def test_markup_in_a_message_is_not_interpreted() -> None:
    lines = printed(samples.report(Outcome("A-001", Verdict.NON_CONFORMANT, message="[red]list[0] [/nope]")))

    assert "[red]list[0] [/nope]" in lines


def test_allure_gets_facts_and_categories(tmp_path: Path) -> None:
    write_allure_environment(tmp_path / "results", {"Kube Virt": "v1.9.0", "Note": " é:\n\\=#", "Smile": "\U0001f600"})

    text = (tmp_path / "results" / "environment.properties").read_text(encoding="ascii")
    assert text.splitlines() == [
        "Kube\\ Virt=v1.9.0",
        "Note=\\ \\u00e9:\\n\\\\=#",
        "Smile=\\ud83d\\ude00",
    ]
    categories = json.loads((tmp_path / "results" / "categories.json").read_text(encoding="ascii"))
    assert {status for category in categories for status in category["matchedStatuses"]} == {
        "failed",
        "broken",
        "skipped",
    }

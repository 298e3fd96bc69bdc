"""``report.yaml`` and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings

from conformance.model import JsonObject, Outcome, Report, ReportError, Verdict
from conformance.report import ReportFileError, dump_report, parse_report, read_report, write_report
from conformance.report.schemas import render, schemas, write_schemas
from tests.unit.report import samples

ROOT = Path(__file__).parents[3]


@settings(deadline=None, max_examples=60)
@given(samples.reports())
@example(samples.report(Outcome("A-001", Verdict.NON_CONFORMANT, message="a\x85b\r\nc\u2028d\u2029 \n")))
def test_what_is_written_is_read_again(report: Report) -> None:
    assert parse_report(dump_report(report), Path("report.yaml")) == report


@settings(deadline=None, max_examples=30)
@given(samples.reports())
def test_what_is_written_matches_the_published_schema(report: Report) -> None:
    jsonschema.validate(document(report), schemas()["conformance-report.schema.json"])


def document(report: Report) -> JsonObject:
    data = yaml.safe_load(dump_report(report))
    assert isinstance(data, dict)
    return data


def test_the_report_on_disk(tmp_path: Path) -> None:
    path = write_report(samples.report(), tmp_path / "out")

    assert path.name == "report.yaml"
    assert read_report(path) == samples.report()
    assert [file.name for file in path.parent.iterdir()] == ["report.yaml"]


def test_the_shape_of_a_report() -> None:
    data = document(samples.report())

    assert (data["apiVersion"], data["kind"]) == ("binding-conformance/v1alpha1", "ConformanceReport")
    assert data["date"] == "2026-11-24T10:30:00Z"
    assert data["judgement"] == {
        "verdict": "non-conformant",
        "certified": False,
        "obstacles": list(samples.report().judgement.obstacles),
        "failedMust": ["DHCP-002"],
        "unverified": ["pod", "l2", "ipam"],
    }
    assert data["profiles"] == {
        "core": {"name": "core", "result": "non-conformant", "statistics": STATISTICS},
        "extended": [{"name": "ipam", "result": "non-conformant", "statistics": STATISTICS}],
    }


STATISTICS = {
    "total": 6,
    "conformant": 1,
    "nonConformant": 1,
    "inconclusive": 1,
    "notDeclared": 1,
    "skipped": 2,
    "notApplicable": 2,
}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("verdict: non-conformant\n  certified", "verdict: conformant\n  certified", "requirements do not give"),
        ("certified: false", "certified: true", "requirements do not give"),
        ("nonConformant: 1", "nonConformant: 0", "statistics differ"),
        ("mode: sandbox", "mode: moon", "cluster.mode"),
        ("kind: ConformanceReport", "kind: Report", "kind"),
        ("seconds: 83.4", "seconds: -1", "seconds"),
        ("suite:", "suite: {}\nfoo:", "foo"),
        ("- evidence/DHCP-002/domain.xml", "- ../../etc/passwd", "leaves the report directory"),
        ("id: VM-003", "id: V6-001", "more than one entry"),
        ("date: '2026-11-24T10:30:00Z'", "date: '2026-11-24T10:30:00'", "time zone"),
        ("kind:", "kind: [", "not YAML"),
    ],
)
def test_a_report_that_was_changed_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = dump_report(samples.report())
    assert old in text

    with pytest.raises(ReportFileError) as caught:
        parse_report(text.replace(old, new, 1), tmp_path / "report.yaml")

    assert any(problem in found for found in caught.value.problems)


def test_a_report_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReportFileError, match="No such file"):
        read_report(tmp_path / "report.yaml")


def test_text_that_utf8_cannot_hold_does_not_stop_the_report(tmp_path: Path) -> None:
    outcome = Outcome("A-001", Verdict.NON_CONFORMANT, message="console said \udcff")
    path = write_report(samples.report(outcome), tmp_path)

    assert "console said" in read_report(path).entries[0].outcome.message


def test_a_report_has_a_time_zone_and_each_requirement_once() -> None:
    with pytest.raises(ReportError):
        replace(samples.report(), date=datetime(2026, 1, 1))
    with pytest.raises(ReportError, match="REG-001"):
        replace(samples.report(), entries=samples.report().entries * 2)


@pytest.mark.parametrize("name", schemas())
def test_published_schemas_are_up_to_date(name: str) -> None:
    published = (ROOT / "fixtures" / "schema" / name).read_text(encoding="utf-8")

    assert published == render(schemas()[name]), "run: python -m conformance.report.schemas fixtures/schema"


@pytest.mark.parametrize("schema", schemas().values())
def test_schemas_are_schemas(schema: JsonObject) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"]


def test_schemas_are_written(tmp_path: Path) -> None:
    assert sorted(path.name for path in write_schemas(tmp_path)) == sorted(schemas())

"""Offline verification: which rules hold for which report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.access.logins import Login
from conformance.catalogue import load, select
from conformance.cli.main import app
from conformance.cli.verifying import rules_of
from conformance.model import Entry, Mode, Outcome, Report, Verdict, load_binding
from conformance.plugin.results import Results
from conformance.plugin.run import Handoff
from conformance.plugin.settings import Settings
from conformance.report import write_report
from tests.unit.plugin.test_session import BINDING

runner = CliRunner()


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """A report in which everything that applies is conformant, from a real cluster."""
    (tmp_path / "b.yaml").write_text(BINDING)
    binding = load_binding(tmp_path / "b.yaml")
    handoff = Handoff(
        directory="d",
        runner=Login("k"),
        registrar=Login("k"),
        namespaces=("ns",),
        site="",
        site_name="",
        node_access=False,
        disruption=False,
        hco=False,
        mode="kubeconfig",
        binding="b",
        report_dir="r",
        nodes=("n",),
        kubernetes="v1.36.2",
        kubevirt="v1.9.0",
        timeout_factor=1.0,
    )
    settings = Settings("b", "kubeconfig", None, None, None, "", "all", frozenset(), tmp_path, False, 1.0)
    bare = Results(binding, handoff, settings).report(load().ids)
    entries = []
    for selected in select(binding, "v1.9.0"):
        fine = Outcome(selected.requirement.id, Verdict.CONFORMANT)
        entries.append(Entry.of(selected.requirement, fine if selected.applicable else selected.outcome()))
    return replace(bare, entries=tuple(entries))


def failing(report: Report, directory: Path, *, rehearsal: bool = False) -> set[str]:
    write_report(report, directory)
    return {rule.name for rule in rules_of(directory, rehearsal=rehearsal) if not rule.holds}


def test_a_sound_report_holds_every_rule(report: Report, tmp_path: Path) -> None:
    assert failing(report, tmp_path) == set()
    assert runner.invoke(app, ["verify", str(tmp_path)]).exit_code == 0


def test_a_rehearsal_is_no_certificate_unless_asked_for(report: Report, tmp_path: Path) -> None:
    rehearsal = replace(report, mode=Mode.SANDBOX)
    assert failing(rehearsal, tmp_path) == {"mode"}
    assert failing(rehearsal, tmp_path, rehearsal=True) == set()
    result = runner.invoke(app, ["verify", str(tmp_path / "report.yaml")])
    assert result.exit_code == 1
    assert "wanted: a real cluster" in result.stdout


def test_a_violated_must_fails_and_is_named(report: Report, tmp_path: Path) -> None:
    first = report.entries[0]
    violated = Outcome(first.id, Verdict.NON_CONFORMANT, message="seen")
    changed = replace(report, entries=(replace(first, outcome=violated), *report.entries[1:]))
    assert "MUST violated" in failing(changed, tmp_path)
    assert first.id in runner.invoke(app, ["verify", str(tmp_path)]).stdout


def test_a_missing_requirement_and_an_unreadable_file(report: Report, tmp_path: Path) -> None:
    assert "catalogue" in failing(replace(report, entries=report.entries[1:]), tmp_path)
    (tmp_path / "report.yaml").write_text("kind: Other\n")
    assert runner.invoke(app, ["verify", str(tmp_path)]).exit_code == 2

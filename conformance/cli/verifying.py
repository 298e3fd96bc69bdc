"""``binding-conformance verify``: whether a report is a certificate, rule by rule, without a cluster or a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from conformance.catalogue import load
from conformance.model import Report, Verdict
from conformance.report import read_report, write_html, write_junit, write_report
from conformance.report.merge import merge_files, merge_reports


@dataclass(frozen=True)
class Rule:
    """One rule: whether it ``holds``, what it ``got`` and ``wanted``, and how to ``fix`` it."""

    name: str
    holds: bool
    got: str
    wanted: str
    fix: str


def rules_of(path: Path, *, rehearsal: bool) -> tuple[Rule, ...]:
    """The rules for one report. Raises ReportFileError when the file cannot be read or contradicts itself."""
    report = read_report(path / "report.yaml" if path.is_dir() else path)
    return tuple(_rules(report, rehearsal))


def join(sources: Sequence[Path], target: Path) -> Path:
    """Join the reports of the shards of one run into a report directory, which is returned.

    Raises ReportFileError for a file that is no sound report, MergeError for reports that do not belong together.
    """
    directories = [source if source.is_dir() else source.parent for source in sources]
    merged = merge_reports([read_report(directory / "report.yaml") for directory in directories])
    merge_files(directories, target)
    write_report(merged, target)
    write_junit(merged, target)
    write_html(merged, target)
    return target


def print_rules(rules: tuple[Rule, ...], console: Console) -> None:
    """One line per rule, the details of those that do not hold."""
    for rule in rules:
        mark = "[green]holds[/]" if rule.holds else "[red]fails[/]"
        console.print(f"{mark}  {rule.name}: {rule.got}", highlight=False)
        if not rule.holds:
            console.print(f"       wanted: {rule.wanted}\n       fix: {rule.fix}", highlight=False, markup=False)


def _rules(report: Report, rehearsal: bool) -> Iterator[Rule]:
    judgement = report.judgement
    yield Rule(
        "mode",
        report.mode.certifies or rehearsal,
        report.mode.value,
        "a real cluster",
        "run the suite with --cluster kubeconfig; a sandbox run is the rehearsal (--rehearsal accepts it)",
    )
    sound = not report.binding.mutant
    yield Rule("binding", sound, report.binding.mutant or report.binding.name, "no mutant", "judge the binding itself")
    known, reported = set(load().ids), {entry.id for entry in report.entries}
    odd = ", ".join(sorted(known ^ reported))
    yield Rule(
        "catalogue",
        known == reported,
        f"differs in {odd}" if odd else f"{len(reported)} requirements",
        "every requirement of this version's catalogue, once, and no other",
        "verify with the suite version that wrote the report, or run again with this one",
    )
    yield Rule(
        "MUST violated",
        not judgement.failed_must,
        ", ".join(judgement.failed_must) or "none",
        "none",
        "see the message and the evidence of each in the report",
    )
    yield Rule(
        "MUST undecided",
        not judgement.undecided_must,
        ", ".join(judgement.undecided_must) or "none",
        "none",
        "run again with --rerun-failed; `doctor` says what the environment lacks",
    )
    yield Rule(
        "declared and not verified",
        not judgement.unverified,
        ", ".join(c.value for c in judgement.unverified) or "none",
        "none",
        "make each capability work, or declare it no longer",
    )
    decided = sum(1 for entry in report.entries if entry.verdict is Verdict.CONFORMANT)
    yield Rule(
        "requirements verified", decided > 0, str(decided), "at least one", "run the suite without --requirement"
    )

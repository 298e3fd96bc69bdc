"""Prints a report on a terminal: one line per requirement, then the verdict."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.model import Entry, Report, SkipReason, Summary, Verdict
from conformance.report.upstream import TITLE as UPSTREAM

_STYLES = {
    Verdict.CONFORMANT: "green",
    Verdict.NON_CONFORMANT: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.SKIPPED: "yellow",
    Verdict.NOT_DECLARED: "dim",
}
_SUMMARY_STYLES = {
    Summary.CONFORMANT: "bold green",
    Summary.NON_CONFORMANT: "bold red",
    Summary.INCONCLUSIVE: "bold yellow",
    Summary.PARTIAL: "bold yellow",
}


def print_report(report: Report, console: Console, *, everything: bool = False) -> None:
    """Print a report: id, title, verdict and seconds of each requirement, failures in full, and the verdict.

    Requirements that do not concern the binding or that the run did not set out to decide are only counted, unless
    ``everything``.
    """
    shown = [entry for entry in report.entries if everything or not _quiet_reason(entry)]
    console.print(_table(shown))
    hidden = Counter(reason for entry in report.entries if (reason := _quiet_reason(entry)))
    if hidden and not everything:
        counts = ", ".join(f"{count} {reason}" for reason, count in hidden.most_common())
        console.print(Text(f"not shown: {counts}", style="dim"))
    for entry in report.entries:
        if entry.verdict in {Verdict.NON_CONFORMANT, Verdict.INCONCLUSIVE}:
            _print_failure(entry, console)
    _print_summary(report, console)


def _quiet_reason(entry: Entry) -> str:
    """Why an entry is only counted, in words; empty if it is shown."""
    if entry.verdict is Verdict.NOT_DECLARED:
        return "not declared"
    skip = entry.outcome.skip
    if skip is not None and (skip.reason.excuses or skip.reason is SkipReason.NOT_SELECTED):
        return skip.reason.value.replace("-", " ")
    return ""


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("ID", no_wrap=True, min_width=9)
    table.add_column("Requirement", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("Verdict", no_wrap=True, min_width=14)
    table.add_column("Seconds", no_wrap=True, justify="right", min_width=7)
    for entry in entries:
        style = _STYLES[entry.verdict]
        decided = entry.verdict not in {Verdict.SKIPPED, Verdict.NOT_DECLARED}
        table.add_row(
            Text(entry.id, style=style),
            Text(entry.title, style="" if decided else "dim"),
            Text(entry.verdict.value, style=style),
            Text(f"{entry.outcome.seconds:.1f}" if decided else "", style="" if decided else "dim"),
        )
    return table


def _print_failure(entry: Entry, console: Console) -> None:
    console.print()
    head = Text.assemble((entry.id, "bold"), f" {entry.level.value} ", (entry.verdict.value, _STYLES[entry.verdict]))
    console.print(head)
    console.print(Text(entry.outcome.message), soft_wrap=True)
    for path in entry.outcome.evidence:
        console.print(Text(f"  evidence: {path}", style="dim"), soft_wrap=True)


def _print_summary(report: Report, console: Console) -> None:
    judgement = report.judgement
    label = report.binding.mutant or report.binding.name
    counts = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict if report.count(verdict))
    console.print()
    console.print(
        Text.assemble(
            (f"{label}: ", "bold"), (judgement.summary.value, _SUMMARY_STYLES[judgement.summary]), f" ({counts})"
        )
    )
    if report.upstream is not None:
        console.print(f"{UPSTREAM}: {report.upstream.summary}", highlight=False, markup=False)
    for obstacle in judgement.obstacles:
        console.print(Text(f"no certificate: {obstacle}", style="dim"), soft_wrap=True)

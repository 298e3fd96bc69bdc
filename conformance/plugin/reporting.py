"""Everything a run leaves in the report directory, and the table at its end."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from conformance.model import Report
from conformance.plugin.results import Results
from conformance.report import print_report, write_allure_environment, write_html, write_junit, write_report
from conformance.report.allurehtml import AllureError, render_allure


def write_all(report: Report, results: Results, directory: Path, allure: Path | None) -> None:
    """All files of the report directory; Allure's own page too where Allure is there."""
    directory.mkdir(parents=True, exist_ok=True)
    write_report(report, directory)
    write_junit(report, directory)
    write_html(report, directory)
    results.write_timeline(directory)
    if allure is not None:
        facts = {
            "binding": report.binding.name,
            "mode": report.mode.value,
            "KubeVirt": report.kubevirt_version,
            "Kubernetes": report.kubernetes_version,
            "verdict": report.judgement.summary.value,
        }
        write_allure_environment(allure, facts)
        try:
            render_allure(allure, directory / "allure-report")
        except AllureError as error:
            sys.stderr.write(f"no Allure page: {error}\n")


def print_table(report: Report) -> None:
    """One line per requirement, failures in full, the verdict."""
    print_report(report, Console(file=sys.stdout))

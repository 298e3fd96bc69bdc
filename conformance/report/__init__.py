"""A report as files: ``report.yaml`` and back, JUnit XML, an HTML page, Allure's facts, and a table on the terminal."""

from conformance.report.allure import write_allure_environment
from conformance.report.document import (
    ReportFileError,
    dump_report,
    parse_report,
    read_report,
    write_report,
)
from conformance.report.html import render_html, write_html
from conformance.report.junit import dump_junit, write_junit
from conformance.report.terminal import print_report

__all__ = [
    "ReportFileError",
    "dump_junit",
    "dump_report",
    "parse_report",
    "print_report",
    "read_report",
    "render_html",
    "write_allure_environment",
    "write_html",
    "write_junit",
    "write_report",
]

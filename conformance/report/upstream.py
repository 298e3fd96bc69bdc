"""Shows KubeVirt's own conformance suite under its own heading."""

from __future__ import annotations

from conformance.model import UpstreamCase, UpstreamResult, UpstreamSuite
from conformance.report.markup import Markup, tag

TITLE = "KubeVirt's own conformance suite"


def upstream_section(suite: UpstreamSuite) -> Markup:
    """The section of the HTML page."""
    body: Markup | None
    if suite.trouble:
        body = tag("pre", {"class": "message"}, suite.trouble)
    else:
        rows = [_row(case) for case in (*suite.failed, *(c for c in suite.cases if c not in suite.failed))]
        body = tag("div", {"class": "rows"}, *rows)
    return tag(
        "section",
        {"class": "list upstream", "id": "upstream"},
        tag("h2", None, TITLE),
        tag("p", {"class": "method"}, f"{suite.summary}. {suite.image}. It does not count for the verdict above."),
        body,
    )


def _row(case: UpstreamCase) -> Markup:
    failed = case.result is UpstreamResult.FAILED
    verdict = "non-conformant" if failed else "conformant"
    summary = tag(
        "summary",
        None,
        tag("span", {"class": "mark", "role": "img", "aria-label": case.result.value}),
        tag("span", {"class": "id"}, case.result.value),
        tag("span", {"class": "text"}, case.name),
        tag("span", {"class": "level"}),
        tag("span", {"class": "time"}, tag("span", None, f"{case.seconds:.1f} s")),
    )
    message = tag("div", {"class": "more"}, tag("pre", {"class": "message"}, case.message)) if case.message else None
    return tag("details", {"class": f"row {verdict}", "open": "" if failed else None}, summary, message)

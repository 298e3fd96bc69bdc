"""Writes a report as one HTML page that needs nothing else: no request leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from conformance.model import (
    Entry,
    Judgement,
    Measurement,
    Mode,
    ProfileResult,
    Report,
    SkipReason,
    Summary,
    Verdict,
)
from conformance.report.markup import Markup, join, tag
from conformance.report.upstream import upstream_section

FILE_NAME = "index.html"

_HEADLINES = {
    Summary.CONFORMANT: "Every MUST that applies and was checked is verified.",
    Summary.NON_CONFORMANT: "A MUST is violated.",
    Summary.INCONCLUSIVE: "The environment kept a MUST from being decided.",
    Summary.PARTIAL: "No MUST is violated, but not all of them were decided.",
}
_MODES = {
    Mode.SANDBOX: "Sandbox: a rehearsal, never a certificate",
    Mode.KIND: "Cluster provisioned with kind",
    Mode.KUBECONFIG: "Existing cluster",
}
_LABELS = {
    Verdict.CONFORMANT: "Conformant",
    Verdict.NON_CONFORMANT: "Non-conformant",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.SKIPPED: "Skipped",
    Verdict.NOT_DECLARED: "Not declared",
}
_FOLDED_REASONS = frozenset({SkipReason.NO_CHECK, SkipReason.OUTSIDE_PROFILE})
_NO_CHECK = "no-check"
"""Filter of its own, beside the verdicts, for what the run did not set out to decide."""


def write_html(
    report: Report,
    directory: Path,
    *,
    families: Mapping[str, str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> Path:
    """Write ``index.html`` into a directory, which is created, and return its path. See `render_html`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    page = render_html(report, families=families, sources=sources)
    path.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")
    return path


def render_html(
    report: Report, *, families: Mapping[str, str] | None = None, sources: Mapping[str, str] | None = None
) -> str:
    """Return a report as an HTML page.

    ``families`` are titles by family name and ``sources`` texts by source key, as the catalogue has them; without
    them the names and keys stand for themselves. Evidence is linked relative to the page.
    """
    label = report.binding.mutant or report.binding.name
    head = tag(
        "head",
        None,
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("title", None, f"{label}: {report.judgement.summary.value}"),
        tag("style", None, _asset("report.css")),
    )
    body = tag(
        "body",
        None,
        tag("main", None, _header(report, label), _banner(report), _overview(report), _profiles(report.judgement)),
        tag("section", {"class": "list"}, _toolbar(report), _families(report, families or {}, sources or {})),
        upstream_section(report.upstream) if report.upstream else None,
        tag("footer", None, f"kubevirt-binding-conformance {report.suite_version}, binding {report.binding.digest}"),
        tag("script", None, _asset("report.js")),
    )
    return "<!doctype html>\n" + tag("html", {"lang": "en"}, head, body).html + "\n"


def _asset(name: str) -> Markup:
    return Markup((files("conformance.report") / "assets" / name).read_text(encoding="utf-8"))


def _header(report: Report, label: str) -> Markup:
    made_by = report.implementation
    return tag(
        "header",
        {"class": "title"},
        tag("p", {"class": "eyebrow"}, "KubeVirt network binding conformance"),
        tag("h1", None, label),
        tag("p", {"class": "maker"}, f"{made_by.organization} / {made_by.project} {made_by.version}"),
        tag("p", {"class": "maker fault"}, f"A mutant of {report.binding.name}: faulty on purpose")
        if report.binding.mutant
        else None,
        tag("button", {"type": "button", "id": "theme", "hidden": "", "aria-label": "Switch light and dark"}, "◐"),
    )


def _banner(report: Report) -> Markup:
    judgement = report.judgement
    verdict = judgement.summary.value
    return tag(
        "section",
        {"class": f"banner {verdict}"},
        tag(
            "div",
            {"class": "ruling"},
            tag("p", {"class": "verdict"}, verdict),
            tag("p", {"class": "headline"}, _HEADLINES[judgement.summary]),
        ),
        tag(
            "p",
            {"class": "mode"},
            tag("span", {"class": "pill"}, _MODES[report.mode]),
            tag("span", {"class": "pill"}, "Certified" if judgement.certified else "Not certified"),
        ),
        _named("MUST violated", judgement.failed_must),
        _named("MUST undecided", judgement.undecided_must),
        _named("SHOULD not met", judgement.failed_should),
        _obstacles(judgement),
    )


def _named(what: str, ids: Sequence[str]) -> Markup | None:
    if not ids:
        return None
    links = [tag("a", {"href": f"#{quote(id_)}", "class": "id"}, id_) for id_ in ids]
    return tag("p", {"class": "named"}, tag("span", None, what), *links)


def _obstacles(judgement: Judgement) -> Markup | None:
    if judgement.certified:
        return None
    items = [tag("li", None, obstacle) for obstacle in judgement.obstacles]
    return tag(
        "details", {"class": "obstacles"}, tag("summary", None, "Why this is no certificate"), tag("ul", None, *items)
    )


def _overview(report: Report) -> Markup:
    capabilities = " ".join(sorted(capability.value for capability in report.binding.capabilities))
    facts = {
        "KubeVirt": report.kubevirt_version or "unknown",
        "Kubernetes": report.kubernetes_version or "unknown",
        "Date": report.date.strftime("%Y-%m-%d %H:%M %Z"),
        "Duration": _duration(report.seconds),
        "Attachment": report.binding.attachment,
        **report.environment,
    }
    pairs = [tag("div", None, tag("dt", None, name), tag("dd", None, value)) for name, value in facts.items()]
    wide = tag("div", {"class": "wide"}, tag("dt", None, "Capabilities"), tag("dd", None, capabilities))
    return tag("dl", {"class": "facts"}, *pairs, wide)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _profiles(judgement: Judgement) -> Markup:
    rows = [_profile_row(profile) for profile in (judgement.core, *judgement.extended)]
    head = tag("tr", None, *(tag("th", {"scope": "col"}, text) for text in ("Profile", "Result", "", "Verified")))
    return tag(
        "section",
        {"class": "profiles"},
        tag("h2", None, "Profiles"),
        tag("table", None, tag("thead", None, head), tag("tbody", None, *rows)),
    )


def _profile_row(profile: ProfileResult) -> Markup:
    applicable = profile.total - profile.excused - profile.counts[Verdict.NOT_DECLARED]
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, profile.profile),
        tag("td", {"class": f"result {profile.summary.value}"}, profile.summary.value),
        tag("td", {"class": "bar"}, _stack(profile)),
        tag("td", {"class": "number"}, f"{profile.counts[Verdict.CONFORMANT]} of {applicable}"),
    )


def _stack(profile: ProfileResult) -> Markup:
    """A bar of the verdicts in a profile, without what does not concern the binding."""
    skipped = profile.counts[Verdict.SKIPPED] - profile.excused
    shares = {
        Verdict.CONFORMANT: profile.counts[Verdict.CONFORMANT],
        Verdict.NON_CONFORMANT: profile.counts[Verdict.NON_CONFORMANT],
        Verdict.INCONCLUSIVE: profile.counts[Verdict.INCONCLUSIVE],
        Verdict.SKIPPED: skipped,
    }
    parts = [
        tag("i", {"class": verdict.value, "style": f"flex-grow:{count}", "title": f"{count} {verdict.value}"})
        for verdict, count in shares.items()
        if count
    ]
    return tag("span", {"class": "stack"}, *parts)


def _toolbar(report: Report) -> Markup:
    counts = dict.fromkeys((*(verdict.value for verdict in Verdict), _NO_CHECK), 0)
    for entry in report.entries:
        counts[_filter_of(entry)] += 1
    labels = {verdict.value: text for verdict, text in _LABELS.items()} | {_NO_CHECK: "Not checked"}
    chips = [
        tag(
            "button",
            {"type": "button", "class": f"chip {name}", "data-filter": name, "aria-pressed": "true"},
            label,
            tag("b", None, str(counts[name])),
        )
        for name, label in labels.items()
        if counts[name]
    ]
    return tag(
        "div",
        {"class": "toolbar"},
        tag("h2", None, "Requirements"),
        tag("div", {"class": "chips", "role": "group", "aria-label": "Show verdicts"}, *chips),
        tag("input", {"type": "search", "id": "search", "placeholder": "Search id or text", "aria-label": "Search"}),
        tag("button", {"type": "button", "id": "expand", "class": "plain"}, "Expand all"),
    )


def _filter_of(entry: Entry) -> str:
    skip = entry.outcome.skip
    return _NO_CHECK if skip is not None and skip.reason in _FOLDED_REASONS else entry.verdict.value


def _families(report: Report, families: Mapping[str, str], sources: Mapping[str, str]) -> Markup:
    longest = max((entry.outcome.seconds for entry in report.entries), default=0.0)
    groups = []
    for family, entries in groupby(report.entries, key=lambda entry: entry.family):
        rows = [_row(entry, longest, sources) for entry in entries]
        groups.append(tag("section", {"class": "family"}, tag("h3", None, families.get(family, family)), _rows(rows)))
    nothing = tag("p", {"id": "nothing", "hidden": ""}, "No requirement matches.")
    return join(*groups, nothing)


def _rows(rows: Sequence[Markup]) -> Markup:
    return tag("div", {"class": "rows"}, *rows)


def _row(entry: Entry, longest: float, sources: Mapping[str, str]) -> Markup:
    outcome = entry.outcome
    share = outcome.seconds / longest if longest else 0.0
    is_open = "" if entry.verdict in {Verdict.NON_CONFORMANT, Verdict.INCONCLUSIVE} else None
    took = _duration(outcome.seconds) if outcome.seconds else ""
    summary = tag(
        "summary",
        None,
        tag("span", {"class": "mark", "role": "img", "aria-label": _LABELS[entry.verdict]}),
        tag("span", {"class": "id"}, entry.id),
        tag("span", {"class": "text"}, entry.title),
        tag("span", {"class": f"level {entry.level.value.lower()}"}, entry.level.value),
        tag("span", {"class": "time"}, _duration_bar(share) if took else None, tag("span", None, took)),
    )
    attributes = {"class": f"row {entry.verdict.value}", "id": entry.id, "data-filter": _filter_of(entry)}
    return tag("details", {**attributes, "open": is_open}, summary, _details(entry, sources))


def _duration_bar(share: float) -> Markup:
    return tag("span", {"class": "track"}, tag("i", {"style": f"width:{share:.1%}"}))


def _details(entry: Entry, sources: Mapping[str, str]) -> Markup:
    outcome = entry.outcome
    facts: dict[str, str] = {"Verdict": _LABELS[entry.verdict]}
    if outcome.skip is not None:
        facts["Reason"] = outcome.skip.reason.value.replace("-", " ")
    facts["Profiles"] = ", ".join(entry.profiles)
    facts["Concerns"] = ", ".join(entry.capabilities).replace("|", " or ") or "every binding"
    pairs = [tag("div", None, tag("dt", None, name), tag("dd", None, value)) for name, value in facts.items()]
    origin = [tag("li", None, _source(key, sources)) for key in entry.sources]
    return tag(
        "div",
        {"class": "more"},
        tag("pre", {"class": "message"}, outcome.message) if outcome.message else None,
        _measurements(outcome.measurements),
        _evidence(outcome.evidence),
        tag("dl", None, *pairs, tag("div", None, tag("dt", None, "Source"), tag("dd", None, tag("ul", None, *origin)))),
    )


def _source(key: str, sources: Mapping[str, str]) -> str:
    text = sources.get(key)
    return f"{key}: {text}" if text else key


def _measurements(measurements: Sequence[Measurement]) -> Markup | None:
    if not measurements:
        return None
    rows = [
        tag(
            "tr",
            None,
            tag("th", {"scope": "row"}, measurement.name),
            tag("td", {"class": "number"}, f"{measurement.value:.6g} {measurement.unit}"),
            tag("td", {"class": "method"}, measurement.method),
        )
        for measurement in measurements
    ]
    return tag("table", {"class": "measurements"}, tag("tbody", None, *rows))


def _evidence(paths: Sequence[str]) -> Markup | None:
    """Links to the evidence; the leading ``./`` keeps a path from being read as a scheme."""
    if not paths:
        return None
    links = [tag("li", None, tag("a", {"href": "./" + quote(path)}, path)) for path in paths]
    return tag("div", {"class": "evidence"}, tag("h4", None, "Evidence"), tag("ul", None, *links))

"""Reports to write, read and look at."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from conformance.model import (
    BindingSummary,
    Capability,
    Entry,
    Implementation,
    Level,
    Measurement,
    Mode,
    Outcome,
    Report,
    Skip,
    SkipReason,
    Verdict,
)

NASTY = "</pre><script>alert(1)</script> & \"quoted\" 'single' \x00\x1b[31m]]> \N{SNOWMAN}\nline two"

OUTCOMES = (
    Outcome(
        "REG-001",
        Verdict.CONFORMANT,
        1.25,
        measurements=(Measurement("start", 4.75, "s", "create to Running"),),
        evidence=("evidence/REG-001/javascript:alert(1)", 'evidence/REG-001/a "b" & c#d?e.log'),
    ),
    Outcome("DHCP-002", Verdict.NON_CONFORMANT, 30.5, NASTY, evidence=("evidence/DHCP-002/domain.xml",)),
    Outcome("MIG-009", Verdict.INCONCLUSIVE, 2.0, "the node went away"),
    Outcome("SEC-005", Verdict.SKIPPED, message="old", skip=Skip(SkipReason.KUBEVIRT_TOO_OLD, "old")),
    Outcome("VM-003", Verdict.SKIPPED, message="no check", skip=Skip(SkipReason.NO_CHECK, "no check")),
    Outcome("V6-001", Verdict.NOT_DECLARED, message="the binding does not declare v6"),
)
LEVELS = {"MIG-009": Level.SHOULD}


def entry(outcome: Outcome) -> Entry:
    """An entry of a made-up requirement with this outcome."""
    return Entry(
        title=f"Title of {outcome.requirement} <b>",
        level=LEVELS.get(outcome.requirement, Level.MUST),
        family=outcome.requirement.partition("-")[0].lower(),
        profiles=("core", "ipam"),
        capabilities=("attach|ipam", "!mig"),
        verifies=frozenset({Capability.IPAM}),
        sources=("S-UG", "kubevirt#1"),
        outcome=outcome,
    )


def report(*outcomes: Outcome, mutant: str = "demo-no-router", mode: Mode = Mode.SANDBOX) -> Report:
    """A report with every kind of verdict, or with these outcomes."""
    return Report(
        binding=BindingSummary(
            name="demo",
            digest="0" * 64,
            attachment="managedTap",
            declared=frozenset({Capability.POD, Capability.IPAM}),
            capabilities=frozenset({Capability.POD, Capability.IPAM, Capability.L2}),
            mutant=mutant,
        ),
        implementation=Implementation("Demo <Ltd>", "demo", "1.10", "https://demo.example/", ("a@demo.example",)),
        suite_version="0.1.0",
        date=datetime(2026, 11, 24, 10, 30, tzinfo=UTC),
        seconds=83.4,
        mode=mode,
        kubevirt_version="v1.9.0",
        kubernetes_version="v1.36.2",
        entries=tuple(map(entry, outcomes or OUTCOMES)),
        environment={"Nodes": "2", "Note": NASTY},
    )


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_PATHS = st.lists(st.from_regex(r"evidence/[a-z0-9 ._:#%&<-]{1,20}x", fullmatch=True), max_size=3)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    """Any outcome that does not contradict itself."""
    verdict = draw(st.sampled_from(Verdict))
    skip = Skip(draw(st.sampled_from(SkipReason)), draw(_TEXT)) if verdict is Verdict.SKIPPED else None
    return Outcome(
        requirement=f"A-{draw(st.integers(0, 999)):03}",
        verdict=verdict,
        seconds=draw(st.floats(0, 1e6)),
        message=draw(_TEXT) + "!",
        skip=skip,
        evidence=tuple(draw(_PATHS)),
        measurements=tuple(draw(st.lists(st.builds(Measurement, _TEXT, _FINITE, _TEXT, _TEXT), max_size=2))),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Any report with up to eight entries."""
    drawn = draw(st.lists(outcomes(), max_size=8, unique_by=lambda outcome: outcome.requirement))
    capabilities = draw(st.frozensets(st.sampled_from(Capability)))
    return Report(
        binding=BindingSummary(draw(_TEXT), draw(_TEXT), draw(_TEXT), capabilities, capabilities, draw(_TEXT)),
        implementation=Implementation(draw(_TEXT), draw(_TEXT), draw(_TEXT), draw(_TEXT), tuple(draw(st.lists(_TEXT)))),
        suite_version=draw(_TEXT),
        date=draw(st.datetimes(timezones=st.just(UTC))),
        seconds=draw(st.floats(0, 1e6)),
        mode=draw(st.sampled_from(Mode)),
        kubevirt_version=draw(_TEXT),
        kubernetes_version=draw(_TEXT),
        entries=tuple(map(entry, drawn)),
        environment=draw(st.dictionaries(_TEXT, _TEXT, max_size=3)),
    )

"""From outcomes to a verdict."""

from __future__ import annotations

import pytest

from conformance.model import (
    Capability,
    Entry,
    Level,
    Mode,
    Outcome,
    Skip,
    SkipReason,
    Summary,
    Verdict,
    judge,
)

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY
GOOD, BAD, OPEN = Verdict.CONFORMANT, Verdict.NON_CONFORMANT, Verdict.INCONCLUSIVE
UNDECLARED = Verdict.NOT_DECLARED


def entry(id_: str, level: Level, result: Verdict | SkipReason, *verifies: Capability) -> Entry:
    if isinstance(result, SkipReason):
        outcome = Outcome(id_, Verdict.SKIPPED, skip=Skip(result, "because"))
    else:
        outcome = Outcome(id_, result, message="" if result is GOOD else "seen this, wanted that")
    profiles = tuple(capability.value for capability in verifies) or ("core",)
    return Entry("title", level, "family", profiles, (), frozenset(verifies), (), outcome)


@pytest.mark.parametrize(
    ("level", "result", "summary"),
    [
        (MUST, GOOD, Summary.CONFORMANT),
        (MUST, BAD, Summary.NON_CONFORMANT),
        (MUST, OPEN, Summary.INCONCLUSIVE),
        (MUST, SkipReason.ENVIRONMENT_LACKS, Summary.PARTIAL),
        (MUST, SkipReason.NOT_SELECTED, Summary.PARTIAL),
        (MUST, SkipReason.INTERRUPTED, Summary.PARTIAL),
        (MUST, SkipReason.KUBEVIRT_TOO_OLD, Summary.CONFORMANT),
        (MUST, SkipReason.OTHER_ENVIRONMENT, Summary.CONFORMANT),
        (MUST, SkipReason.OUTSIDE_PROFILE, Summary.CONFORMANT),
        (MUST, SkipReason.NO_CHECK, Summary.CONFORMANT),
        (MUST, UNDECLARED, Summary.CONFORMANT),
        (SHOULD, BAD, Summary.CONFORMANT),
        (SHOULD, OPEN, Summary.CONFORMANT),
        (SHOULD, SkipReason.ENVIRONMENT_LACKS, Summary.CONFORMANT),
        (MAY, BAD, Summary.CONFORMANT),
    ],
)
def test_one_more_entry_beside_a_verified_must(level: Level, result: Verdict | SkipReason, summary: Summary) -> None:
    judgement = judge([entry("A-001", MUST, GOOD), entry("B-001", level, result)], frozenset(), Mode.KIND)

    assert judgement.summary is summary
    assert judgement.conformant == (summary is Summary.CONFORMANT)


@pytest.mark.parametrize("entries", [[], [entry("A-001", MUST, UNDECLARED)], [entry("A-001", SHOULD, GOOD)]])
def test_nothing_verified_is_never_conformant(entries: list[Entry]) -> None:
    assert judge(entries, frozenset(), Mode.KIND).summary is Summary.PARTIAL


def test_a_violation_outweighs_a_failed_environment() -> None:
    entries = [entry("A-001", MUST, OPEN), entry("B-001", MUST, BAD), entry("C-001", MUST, SkipReason.INTERRUPTED)]

    judgement = judge(entries, frozenset(), Mode.KIND)

    assert judgement.summary is Summary.NON_CONFORMANT
    assert judgement.failed_must == ("B-001",)
    assert judgement.undecided_must == ("A-001", "C-001")


def test_failed_should_and_may_are_listed() -> None:
    entries = [entry("A-001", MUST, GOOD), entry("B-001", SHOULD, BAD), entry("C-001", MAY, BAD)]

    assert judge(entries, frozenset(), Mode.KIND).failed_should == ("B-001", "C-001")


def test_a_certificate_has_no_obstacle() -> None:
    judgement = judge([entry("A-001", MUST, GOOD, Capability.POD)], {Capability.POD}, Mode.KIND)

    assert judgement.certified
    assert judgement.obstacles == ()


@pytest.mark.parametrize(
    ("entries", "capabilities", "mode", "obstacle"),
    [
        ([entry("A-001", MUST, GOOD)], set(), Mode.SANDBOX, "sandbox never certifies"),
        ([entry("A-001", MUST, BAD)], set(), Mode.KIND, "verdict is non-conformant"),
        ([entry("A-001", MUST, GOOD)], {Capability.ICMP}, Mode.KIND, "not verified: icmp"),
        (
            [entry("A-001", MUST, GOOD), entry("B-001", MUST, SkipReason.NO_CHECK)],
            set(),
            Mode.KUBECONFIG,
            "no check for the MUST requirements: B-001",
        ),
        (
            [entry("A-001", MUST, GOOD), entry("B-001", MUST, SkipReason.OUTSIDE_PROFILE)],
            set(),
            Mode.KUBECONFIG,
            "leaves out the MUST requirements: B-001",
        ),
    ],
)
def test_what_keeps_from_a_certificate(
    entries: list[Entry], capabilities: set[Capability], mode: Mode, obstacle: str
) -> None:
    judgement = judge(entries, capabilities, mode)

    assert not judgement.certified
    assert [text for text in judgement.obstacles if obstacle in text]


@pytest.mark.parametrize(
    ("results", "verified"),
    [
        ([(MUST, GOOD)], True),
        ([(SHOULD, GOOD)], True),
        ([(MUST, GOOD), (SHOULD, BAD)], True),
        ([(MUST, GOOD), (MUST, SkipReason.NO_CHECK)], True),
        ([(MUST, GOOD), (MUST, BAD)], False),
        ([(MUST, GOOD), (MUST, OPEN)], False),
        ([(MUST, GOOD), (MUST, SkipReason.ENVIRONMENT_LACKS)], False),
        ([(MUST, SkipReason.NO_CHECK)], False),
        ([(MUST, UNDECLARED)], False),
        ([], False),
    ],
)
def test_when_a_capability_is_verified(results: list[tuple[Level, Verdict | SkipReason]], verified: bool) -> None:
    entries = [entry(f"A-{i:03}", level, result, Capability.MIGRATION) for i, (level, result) in enumerate(results)]

    judgement = judge(entries, {Capability.MIGRATION}, Mode.KIND)

    assert (Capability.MIGRATION not in judgement.unverified) == verified


def test_profiles_have_results_and_statistics() -> None:
    entries = [
        entry("A-001", MUST, GOOD),
        entry("A-002", MUST, SkipReason.KUBEVIRT_TOO_OLD),
        entry("B-001", MUST, BAD, Capability.IPAM),
        entry("C-001", SHOULD, GOOD, Capability.MULTIQUEUE),
        entry("D-001", MUST, GOOD, Capability.ICMP),
    ]

    judgement = judge(entries, {Capability.IPAM, Capability.MULTIQUEUE}, Mode.KIND)

    assert judgement.core.summary is Summary.CONFORMANT
    assert (judgement.core.total, judgement.core.excused, judgement.core.counts[Verdict.CONFORMANT]) == (2, 1, 1)
    assert [(profile.profile, profile.summary) for profile in judgement.extended] == [
        ("ipam", Summary.NON_CONFORMANT),
        ("mq", Summary.CONFORMANT),
    ]

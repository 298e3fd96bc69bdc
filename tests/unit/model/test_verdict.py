"""Outcomes, capability terms and versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.model import (
    Capability,
    CapabilityTerm,
    Measurement,
    Outcome,
    OutcomeError,
    Skip,
    SkipReason,
    Verdict,
    Version,
    VersionError,
    merge_outcomes,
)
from conformance.model.capability import DERIVED, DESCRIPTIONS, PROMISES, CapabilityExpressionError

SKIP = Skip(SkipReason.ENVIRONMENT_LACKS, "one node")
EXCUSED = Skip(SkipReason.KUBEVIRT_TOO_OLD, "1.9")


@pytest.mark.parametrize(
    ("verdict", "message", "skip"),
    [
        (Verdict.SKIPPED, "", None),
        (Verdict.CONFORMANT, "", SKIP),
        (Verdict.NOT_DECLARED, "", SKIP),
        (Verdict.NON_CONFORMANT, "", None),
        (Verdict.INCONCLUSIVE, "", None),
    ],
)
def test_outcomes_that_contradict_themselves(verdict: Verdict, message: str, skip: Skip | None) -> None:
    with pytest.raises(OutcomeError):
        Outcome("A-001", verdict, message=message, skip=skip)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_seconds_are_a_duration(seconds: float) -> None:
    with pytest.raises(OutcomeError):
        Outcome("A-001", Verdict.CONFORMANT, seconds)


@pytest.mark.parametrize("path", ["/etc/passwd", "evidence/../../x", "", "..", "a\\..\\b"])
def test_evidence_stays_in_the_report_directory(path: str) -> None:
    with pytest.raises(OutcomeError):
        Outcome("A-001", Verdict.CONFORMANT, evidence=(path,))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_measurement_is_finite(value: float) -> None:
    with pytest.raises(OutcomeError):
        Measurement("gap", value, "s", "ping")


def outcome(verdict: Verdict, skip: Skip | None = None) -> Outcome:
    return Outcome("A-001", verdict, 1.5, verdict.value, skip=skip, evidence=("evidence/a",))


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (outcome(Verdict.CONFORMANT), outcome(Verdict.NON_CONFORMANT), Verdict.NON_CONFORMANT),
        (outcome(Verdict.INCONCLUSIVE), outcome(Verdict.NON_CONFORMANT), Verdict.NON_CONFORMANT),
        (outcome(Verdict.INCONCLUSIVE), outcome(Verdict.SKIPPED, SKIP), Verdict.INCONCLUSIVE),
        (outcome(Verdict.CONFORMANT), outcome(Verdict.SKIPPED, SKIP), Verdict.SKIPPED),
        (outcome(Verdict.CONFORMANT), outcome(Verdict.SKIPPED, EXCUSED), Verdict.CONFORMANT),
        (outcome(Verdict.SKIPPED, SKIP), outcome(Verdict.SKIPPED, EXCUSED), Verdict.SKIPPED),
        (outcome(Verdict.NOT_DECLARED), outcome(Verdict.CONFORMANT), Verdict.CONFORMANT),
    ],
)
def test_variants_merge_to_the_worst(first: Outcome, second: Outcome, merged: Verdict) -> None:
    for pair in ([first, second], [second, first]):
        result = merge_outcomes(pair)

        assert result.verdict is merged
        assert result.seconds == 3.0
        assert result.evidence == ("evidence/a",)


def test_the_unexcused_skip_wins() -> None:
    skips = [outcome(Verdict.SKIPPED, EXCUSED), outcome(Verdict.SKIPPED, SKIP)]

    assert merge_outcomes(skips).skip == SKIP


@pytest.mark.parametrize("outcomes", [[], [Outcome("A-001", Verdict.CONFORMANT), Outcome("B-001", Verdict.CONFORMANT)]])
def test_unrelated_outcomes_do_not_merge(outcomes: list[Outcome]) -> None:
    with pytest.raises(OutcomeError):
        merge_outcomes(outcomes)


CAPABILITIES = st.frozensets(st.sampled_from(Capability))


@given(CAPABILITIES, st.sampled_from(Capability))
def test_a_negated_term_is_the_opposite(capabilities: frozenset[Capability], capability: Capability) -> None:
    plain, negated = CapabilityTerm.parse(capability.value), CapabilityTerm.parse(f"!{capability.value}")

    assert plain.holds(capabilities) == (capability in capabilities)
    assert negated.holds(capabilities) != plain.holds(capabilities)


@given(CAPABILITIES)
def test_an_alternative_holds_with_any_of_its_members(capabilities: frozenset[Capability]) -> None:
    members = {Capability.ATTACH_TAP, Capability.ATTACH_MANAGED_TAP, Capability.ATTACH_CORE, Capability.IPAM}

    assert CapabilityTerm.parse("attach|ipam").holds(capabilities) == bool(members & capabilities)


@pytest.mark.parametrize("text", ["", "x", "!x", "pod|", "pod,mig", "Pod"])
def test_a_term_names_capabilities_only(text: str) -> None:
    with pytest.raises(CapabilityExpressionError):
        CapabilityTerm.parse(text)


def test_every_capability_is_documented() -> None:
    assert set(DESCRIPTIONS) == set(Capability)
    assert all(capability.description.endswith(".") for capability in Capability)
    assert PROMISES < DERIVED


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.9.0", Version(1, 9)),
        ("1.9", Version(1, 9)),
        ("v1.6.3", Version(1, 6, 3)),
        ("v1.9.0-rc.1", Version(1, 9)),
        ("v1.8.2+build", Version(1, 8, 2)),
    ],
)
def test_versions_are_read(text: str, version: Version) -> None:
    assert Version.parse(text) == version


@pytest.mark.parametrize("text", ["", "devel", "v1", "1.9.", "1.9.0.1", "x1.9"])
def test_other_texts_are_no_version(text: str) -> None:
    with pytest.raises(VersionError):
        Version.parse(text)


VERSIONS = st.builds(Version, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_by_number(one: Version, other: Version) -> None:
    assert Version.parse(str(one)) == one
    assert (one < other) == ((one.major, one.minor, one.patch) < (other.major, other.minor, other.patch))

"""The table of facts by KubeVirt version."""

from __future__ import annotations

import pytest

from conformance.sandbox.kubevirt.facts import NEWEST, UnknownVersionError, facts_for, versions


def test_every_version_from_1_1_to_the_newest_has_all_facts() -> None:
    assert versions() == tuple(f"v1.{minor}" for minor in range(1, 10))
    assert versions()[-1] == NEWEST
    for version in versions():
        assert facts_for(version).version.startswith(version)


@pytest.mark.parametrize("spelling", ["v1.9", "1.9", "v1.9.0", "1.9.3"])
def test_a_version_may_be_spelled_with_or_without_patch_and_v(spelling: str) -> None:
    assert facts_for(spelling).version == "v1.9.0"


def test_a_fact_holds_until_the_next_version_that_changes_it() -> None:
    assert [facts_for(v).gate_required for v in ("v1.1", "v1.4", "v1.5", "v1.9")] == [True, True, False, False]
    assert facts_for("v1.6").unknown_binding.startswith("couldn't find configuration for network bindining")
    assert facts_for("v1.7").unknown_binding.startswith("couldn't find configuration for network binding:")
    assert facts_for("v1.2").both_methods is None
    assert "cannot have both" in (facts_for("v1.8").both_methods or "")
    assert facts_for("v1.9").both_methods is None
    assert facts_for("v1.1").link_refresh_seconds is None


def test_an_unknown_version_is_refused_with_those_held() -> None:
    with pytest.raises(UnknownVersionError, match=r"KubeVirt v2\.0: the sandbox knows v1\.1, .*v1\.9"):
        facts_for("v2.0")

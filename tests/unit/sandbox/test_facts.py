"""The table of facts by KubeVirt version."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml

from conformance.sandbox.kubevirt.facts import NEWEST, UnknownVersionError, VersionFacts, facts_for, versions


def test_every_version_from_1_1_to_the_newest_has_all_facts() -> None:
    assert versions() == tuple(f"v1.{minor}" for minor in range(1, 10))
    assert versions()[-1] == NEWEST
    for version in versions():
        assert facts_for(version).version.startswith(version)


@pytest.mark.parametrize("spelling", ["v1.9", "1.9", "v1.9.0"])
def test_a_version_may_be_spelled_with_or_without_patch_and_v(spelling: str) -> None:
    assert facts_for(spelling).version == "v1.9.0"


def test_a_minor_version_alone_is_its_newest_patch_release() -> None:
    assert facts_for("1.6").version == "v1.6.6"
    assert facts_for("1.6.0").version == "v1.6.0"


def test_a_fact_holds_until_the_next_version_that_changes_it() -> None:
    assert facts_for("v1.6").unknown_binding.startswith("couldn't find configuration for network bindining")
    assert facts_for("v1.7").unknown_binding.startswith("couldn't find configuration for network binding:")
    assert "cannot have both" in (facts_for("v1.8").both_methods or "")
    assert facts_for("v1.9").both_methods is None
    assert facts_for("v1.1").link_refresh_seconds is None


def test_a_patch_release_can_bring_a_fact() -> None:
    assert [facts_for(v).network_info_on_target for v in ("1.6.2", "1.6.3", "1.7.0")] == [False, True, True]
    assert [facts_for(v).attachments for v in ("1.1.0", "1.1.1", "1.4.0")] == [(), ("tap",), ("tap", "managedTap")]


@pytest.mark.parametrize("version", ["v2.0", "1.9.1", "1.10", "1", "1.2.3.4", "v1.9.0-rc.1", "newest", ""])
def test_an_unknown_version_is_refused_with_those_held(version: str) -> None:
    with pytest.raises(UnknownVersionError) as refused:
        facts_for(version)
    text = str(refused.value)
    assert text.startswith(f"KubeVirt {version}: the sandbox knows v1.1, v1.2, ")
    assert "patch releases up to v1.1.1, v1.2.2, " in text


def test_every_fact_says_what_it_is_and_where_it_is_from() -> None:
    table = yaml.safe_load(files("conformance.sandbox.kubevirt").joinpath("facts.yaml").read_text())
    assert set(table["facts"]) == set(VersionFacts.model_fields) - {"version"}
    for name, fact in table["facts"].items():
        assert set(fact) == {"what", "source", "values"}, name
        assert len(fact["what"]) > 10, name
        assert len(fact["source"]) > 5, name
        assert "v1.1" in fact["values"], name

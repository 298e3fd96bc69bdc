"""Counting, explaining, and normalising."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fidelity.compare import Comparison, Explanation, ExplanationError, compare, explanations, repeated, unused
from tests.fidelity.normalise import Normaliser
from tests.fidelity.recording import ApiEvent, Object, load, merged


def test_equal_and_different_are_counted() -> None:
    found = compare("s", {"a": 1, "b": [2], "c": "x"}, {"a": 1, "b": [3], "d": None})
    assert (found.equal, found.total) == (1, 4)
    assert [(d.fact, d.recorded, d.observed) for d in found.differences] == [
        ("b", "[2]", "[3]"),
        ("c", "x", None),
        ("d", None, "null"),
    ]


def test_an_explained_difference_is_not_equal() -> None:
    reasons = [Explanation("pas*", "event * [x]: *", "the registry answers"), Explanation("*", "never", "no")]
    found = compare("passt", {"event a [x]: b": "seen"}, {}, reasons)
    assert (found.equal, len(found.differences), found.unexplained) == (0, 1, ())
    assert "explained: the registry answers" in str(found.differences[0])
    assert unused(reasons, found) == (reasons[1],)
    assert compare("slirp", {"event a [x]: b": "seen"}, {}, reasons).unexplained


def test_comparisons_add_up() -> None:
    both = compare("a", {"x": 1}, {"x": 1}) + compare("b", {"x": 1}, {"x": 2})
    assert (both.equal, both.total, both.share) == (1, 2, 0.5)
    assert Comparison(0, ()).share == 0.0


def test_the_same_difference_of_many_pods_is_counted_together() -> None:
    one = compare("a", {"pod virt-launcher-v-1 labels": 1, "pod virt-launcher-v-2 labels": 1, "x": 1}, {})
    two = compare("b", {"pod virt-launcher-other-1 labels": 1}, {})
    assert repeated((one + two).differences) == [("pod labels", 3)]


def test_the_reviewed_reasons_are_well_formed() -> None:
    assert all(len(reason.why) > 20 for reason in explanations())


@pytest.mark.parametrize("content", ["- {scenario: a, fact: b}", "- text", "- {scenario: a, fact: b, why: c, x: d}"])
def test_a_reason_without_its_parts_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "differences.yaml"
    file.write_text(content)
    with pytest.raises(ExplanationError, match="entry 1"):
        explanations(file)


FIRST_UID = "0b2a5c4e-0000-4000-8000-000000000001"


def launcher(name: str, uid: str, ip: str, node: str, mac: str) -> ApiEvent:
    annotation = f'[{{"name": "net", "interface": "eth0", "mac": "{mac}", "default": true}}]'
    state: Object = {
        "metadata": {"uid": uid, "annotations": {"k8s.v1.cni.cncf.io/network-status": annotation}},
        "spec": {"nodeName": node},
        "status": {"podIPs": [{"ip": ip}]},
    }
    return ApiEvent(0, "ADDED", "Pod", name, state)


def test_placeholders_name_the_owner() -> None:
    names = Normaliser(
        [
            launcher("virt-launcher-v-abcde", FIRST_UID, "10.1.0.5", "n2", "0a:00:00:00:00:01"),
            launcher("virt-launcher-v-zzzz2", "uid-09", "10.1.0.50", "n1", "0a:00:00:00:00:02"),
        ]
    )
    said = (
        "virt-launcher-v-zzzz2 (uid-09, uid-10) at 10.1.0.50:81 and 10.1.0.5/24, not 10.1.0.7, from n2 to n1, "
        "0A:00:00:00:00:02"
    )
    assert names.text(said) == (
        "virt-launcher-v-2 (<uid of Pod virt-launcher-v-2>, <uid>) at <ip of virt-launcher-v-2>:81 and "
        "<ip of virt-launcher-v-1>/24, not <ip>, from node-A to node-B, <mac of virt-launcher-v-2 eth0>"
    )
    assert names.text("Add eth0 [10.1.0.5/24 fd00:10:244:1::5/64] from net") == (
        "Add eth0 [<ip of virt-launcher-v-1>/24] from <pod network>"
    )
    assert names.value({"ips": ["10.1.0.5", "fd00::5"], "mac": "0a:00:00:00:00:01"}) == {
        "ips": ["<ip of virt-launcher-v-1>"],
        "mac": "<mac of virt-launcher-v-1 eth0>",
    }


def test_the_second_object_of_a_name_is_another() -> None:
    """A restarted VM has a new VMI with a new uid."""
    names = Normaliser(load("vm-restart").seen.events)
    assert names.recorded_names()["virt-launcher-v-3"].startswith("virt-launcher-v-")


def test_patches_are_merged_as_recorded() -> None:
    state: Object = {"a": {"b": 1, "c": 2}, "list": [{"name": "x", "v": 1}, {"name": "y", "v": 1}]}
    patch: Object = {"a": {"b": None}, "list": {"$by": "name", "y": {"v": 2}}}
    assert merged(state, patch) == {"a": {"c": 2}, "list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]}

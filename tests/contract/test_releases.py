"""The marker with which every test here says which servers it applies to."""

from __future__ import annotations

import pytest

from tests.contract.releases import misuse, release, too_old

pytestmark = pytest.mark.since(kubernetes="1.26")
SERVERS = {"kubernetes": "v1.30.4+k3s1", "kubevirt": "v1.8.0"}


def since(**oldest: str) -> pytest.Mark:
    return pytest.mark.since(**oldest).mark


@pytest.mark.parametrize(("version", "found"), [("v1.36.2", (1, 36)), ("1.26", (1, 26)), ("v1.30.4+k3s1", (1, 30))])
def test_versions_are_read_as_servers_write_them(version: str, found: tuple[int, int]) -> None:
    assert release(version) == found


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        (None, "has no marker"),
        (since(), "by name"),
        (pytest.mark.since("1.26").mark, "by name"),
        (since(openshift="4.1"), "by name"),
        (since(kubernetes="newest"), "is no version"),
        (since(kubernetes="1.26", kubevirt="1.9"), ""),
    ],
)
def test_a_test_without_a_proper_marker_is_named(marker: pytest.Mark | None, words: str) -> None:
    assert (words in misuse(marker)) if words else misuse(marker) == ""


@pytest.mark.parametrize(
    ("oldest", "words"),
    [
        ({"kubernetes": "1.30"}, ""),
        ({"kubernetes": "1.31"}, "kubernetes v1.30.4+k3s1 is older than 1.31"),
        ({"kubernetes": "1.9"}, ""),
        ({"kubernetes": "1.26", "kubevirt": "1.9"}, "kubevirt v1.8.0 is older than 1.9"),
    ],
)
def test_an_older_server_is_left_alone(oldest: dict[str, str], words: str) -> None:
    assert too_old(since(**oldest), SERVERS) == words


def test_a_cluster_without_kubevirt_is_left_alone() -> None:
    assert too_old(since(kubevirt="1.1"), {"kubernetes": "v1.36.2"}) == "there is no kubevirt"

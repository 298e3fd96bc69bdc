"""What KubeVirt does about a sidecar image that is missing: the check of it fails where that is done wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from conformance.kube.manifest import Manifest
from conformance.kube.outcome import NonConformant
from fixtures.measure import Measure
from fixtures.sights import Sight
from fixtures.unpullable import Pulling, crashed
from suites.registration.test_image_missing import test_missing_image_is_named_and_its_arrival_helps as check

IMAGE = "localhost/absent:1"
RIGHT = Pulling(IMAGE, (f'ImagePullBackOff: Back-off pulling image "{IMAGE}"',), "Scheduling", (), Sight(1.0))


def judge(seen: Pulling) -> None:
    check(seen, cast(Measure, lambda _: None))


def test_a_vmi_that_says_what_it_lacks_and_recovers() -> None:
    judge(RIGHT)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(RIGHT, phase="Running"), "does not exist"),
        (replace(RIGHT, said=("GuestNotRunning: Guest VM is not reported as running",)), "no condition names"),
        (replace(RIGHT, crashed=("compute",)), "compute"),
    ],
)
def test_one_that_does_otherwise(seen: Pulling, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        judge(seen)


def test_one_that_does_not_recover() -> None:
    with pytest.raises(NonConformant, match="not Scheduled"):
        judge(replace(RIGHT, recovered=Sight(9.0, NonConformant("not Scheduled"))))


def status(name: str, **fields: object) -> Manifest:
    return {"name": name, **fields}


@pytest.mark.parametrize(
    ("statuses", "found"),
    [
        ([status("compute", restartCount=0, state={"running": {}})], ()),
        ([status("compute", restartCount=1, state={"running": {}})], ("compute",)),
        ([status("compute", state={"terminated": {"exitCode": 2}})], ("compute",)),
        ([status("compute", state={"terminated": {"exitCode": 0}})], ()),
        ([status("hook-sidecar-0", restartCount=3, state={"waiting": {}})], ()),
    ],
)
def test_containers_that_crash(statuses: list[Manifest], found: tuple[str, ...]) -> None:
    assert crashed({"status": {"containerStatuses": statuses}}) == found

"""The one wait: what it returns, what it says when it ends, and that a watch misses nothing."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import BoundExceeded, PatienceExceeded, Stopped
from conformance.kube.manifest import CONFIG_MAP, Manifest, Ref
from conformance.kube.outcome import EnvironmentFault, NonConformant
from conformance.kube.timeouts import Deadline, Limit, Timeouts
from conformance.kube.wait import describe_object, wait_for, wait_gone, wait_until
from tests.unit.kube.test_cluster import config_map


def has(**data: str) -> Callable[[Manifest | None], bool]:
    """Whether a ConfigMap has exactly this data."""
    return lambda seen: seen is not None and seen.get("data") == data


def test_returns_the_value_after_enough_successes_in_a_row() -> None:
    values = iter([1, 0, 1, 1, 5])
    assert wait_until("ones", lambda: next(values), Deadline.bound(5), every=0.001, successes=3) == 5


def test_expiry_says_what_was_wanted_and_seen_last() -> None:
    counter = itertools.count()
    with pytest.raises(BoundExceeded) as over:
        wait_until(
            "a big number",
            lambda: next(counter),
            Deadline.bound(0.05),
            until=lambda n: n > 10**9,
            saw=lambda n: f"the number {n}",
            every=0.01,
        )
    assert over.value.wanted == "a big number"
    assert over.value.seen.startswith("the number ")
    assert isinstance(over.value, NonConformant)
    assert not isinstance(over.value, EnvironmentFault)


def test_patience_and_ignored_errors_are_the_environments() -> None:
    def probe() -> bool:
        raise LookupError("not yet")

    with pytest.raises(PatienceExceeded, match="LookupError: not yet") as over:
        wait_until("anything", probe, Deadline.patience(0.02), every=0.01, ignore=(LookupError,))
    assert isinstance(over.value, EnvironmentFault)
    with pytest.raises(LookupError):
        wait_until("anything", probe, Deadline.patience(1))


def test_an_expired_deadline_still_probes_once() -> None:
    assert wait_until("a look", lambda: 7, Deadline(0, Limit.BOUND)) == 7


def test_follows_an_object_by_watch(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(config_map("watched", x="1")))
    change = threading.Timer(0.3, lambda: cluster.patch(ref, {"data": {"x": "2"}}))
    change.start()
    started = time.monotonic()
    found = wait_for(cluster, ref, "x is 2", has(x="2"), Deadline.bound(10))
    assert found is not None
    assert time.monotonic() - started < 3
    change.join()
    removal = threading.Timer(0.2, lambda: cluster.delete(ref))
    removal.start()
    wait_gone(cluster, ref, Deadline.patience(10))
    removal.join()


def test_stops_early_on_a_terminal_state(cluster: Cluster) -> None:
    ref = Ref.of(cluster.create(config_map("doomed", x="failed")))
    with pytest.raises(Stopped, match="doomed") as stopped:
        wait_for(
            cluster,
            ref,
            "x is 2",
            lambda _: False,
            Deadline.bound(30),
            stop_if=has(x="failed"),
        )
    assert stopped.value.seconds < 5
    cluster.delete(ref)


def test_waits_for_what_does_not_exist_yet(cluster: Cluster) -> None:
    ref = CONFIG_MAP.ref("late", "default")
    creation = threading.Timer(0.3, lambda: cluster.create(config_map("late")))
    creation.start()
    assert wait_for(cluster, ref, "it exists", lambda o: o is not None, Deadline.bound(10))
    creation.join()
    cluster.delete(ref)


def test_a_pod_that_waits_for_its_image_says_which() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "a.example/b:1"'}
    status = {"phase": "Pending", "containerStatuses": [{"name": "client", "state": {"waiting": waiting}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "status": status}
    assert describe_object(pod) == (
        'Pod n/p; phase Pending; container client waits: ImagePullBackOff Back-off pulling image "a.example/b:1"'
    )


def test_the_table_scales_and_keeps_its_kinds() -> None:
    table, scaled = Timeouts(), Timeouts().scaled(2)
    assert scaled.migration.seconds == 2 * table.migration.seconds
    assert scaled.migration.start().limit is Limit.BOUND
    assert scaled.deletion.start().limit is Limit.PATIENCE
    with pytest.raises(ValueError, match="positive"):
        table.scaled(0)

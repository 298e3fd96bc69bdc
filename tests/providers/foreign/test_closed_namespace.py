"""A namespace that NetworkPolicies keep closed: what a run does about it, and what it says where it cannot."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from conformance.access.manifests import REGISTRAR, RUNNER
from conformance.cluster.rundir import RUN_LABEL
from conformance.kube.errors import Conflict, Forbidden, NotFound
from conformance.kube.manifest import NAMESPACE, NETWORK_POLICY, Ref
from tests.providers.foreign.conftest import TEAM
from tests.providers.somebody import Somebody, changes, close


@contextmanager
def closed(owner: Somebody) -> Iterator[None]:
    """Their namespace for us, where nobody talks to anybody unless a policy allows it."""
    close(owner.cluster, "default-deny", TEAM)
    yield
    owner.cluster.delete(NETWORK_POLICY.ref("default-deny", TEAM))


def judge_closed(owner: Somebody, accounts: dict[str, Path]) -> subprocess.CompletedProcess[str]:
    """Pings on the pod network, in the namespace that is closed."""
    site = owner.site(namespaces=[TEAM], access={"registrar": REGISTRAR}, bindingManifests="installed")
    with closed(owner):
        before = owner.snapshot()
        ran = owner.call(*owner.run_options("managedtap", "CONN-006", kubeconfig=accounts[RUNNER]), "--site", site)
        assert changes(before, owner.snapshot()) == []
    return ran


def test_a_run_lets_its_own_pods_talk_where_policies_keep_the_namespace_closed(
    owner: Somebody, accounts: dict[str, Path]
) -> None:
    ran = judge_closed(owner, accounts)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert owner.verdicts("managedtap")["CONN-006"][0] == "conformant"


@pytest.mark.slow
def test_pods_that_are_kept_apart_all_the_same_are_no_fault_of_the_binding(
    owner: Somebody, accounts: dict[str, Path]
) -> None:
    """Somebody's controller takes away every policy but their own."""

    def take_away() -> None:
        for policy in owner.cluster.list(NETWORK_POLICY, TEAM, labels=RUN_LABEL).items:
            owner.cluster.delete(Ref.of(policy))

    with while_doing(take_away):
        ran = judge_closed(owner, accounts)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    verdict, message = owner.verdicts("managedtap")["CONN-006"]
    assert verdict == "inconclusive"
    assert "Pod team-a/client-0 does not reach Pod team-a/client-1 either" in message
    assert "a policy keeps the pods of namespace team-a apart" in message


@pytest.mark.slow
def test_a_namespace_that_an_admission_closes_as_it_is_made_is_opened_too(
    owner: Somebody, nothing_changes: None
) -> None:
    """Their policy engine puts a default-deny into every namespace of the run's own making."""

    def close_new() -> None:
        for namespace in owner.cluster.list(NAMESPACE, labels=RUN_LABEL).items:
            with suppress(Conflict, NotFound, Forbidden):  # there already, or on its way out
                close(owner.cluster, "generated", namespace["metadata"]["name"])

    with while_doing(close_new):
        ran = owner.call(*owner.run_options("managedtap", "CONN-006"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert owner.verdicts("managedtap")["CONN-006"][0] == "conformant"


@contextmanager
def while_doing(act: Callable[[], None]) -> Iterator[None]:
    """Somebody's controller at work: it looks five times a second."""
    over = threading.Event()

    def play() -> None:
        while not over.wait(0.2):
            act()

    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(play)
        try:
            yield
        finally:
            over.set()
        playing.result()

"""A run with a bundled binding leaves a sandbox as it was: seen from outside, by other means than the suite's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_gone, wait_until
from conformance.model import Verdict, load_binding
from conformance.report import read_report
from conformance.sandbox import daemon
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import client_image
from tests.lacking import need_root
from tests.sandbox.residue import Snapshot, left, snapshot

ROOT = Path(__file__).parents[2]
BINDINGS = sorted((ROOT / "fixtures" / "bindings").glob("*.yaml"))
EACH_PUSH = {"passt"}
# A VM that boots and is reached, and where the binding can, one that migrates, is refreshed and is stopped again.
REQUIREMENTS = ("REG-001", "VM-001", "DHCP-001", "CONN-001", "MIG-003")
# A VM that boots and is deleted: a CNI plugin's DEL.
ONE_VM = ("REG-001", "VM-001")
RUN_SECONDS, SETTLE_SECONDS = 400, 30


@pytest.fixture(scope="module")
def sandbox() -> Iterator[daemon.RunningSandbox]:
    """A sandbox each of whose nodes has had a pod: the first one makes the bridge of the pod network."""
    need_root()
    options = daemon.Options(state_dir=Path("/run/kbc-residue"))
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        cluster = Cluster.connect(running.kubeconfig)
        for node in running.nodes:
            manifest = client_pod_manifest(f"first-on-{node}", "default", client_image(), node=node)
            pod = ClientPod.start(cluster, manifest, Deadline.patience(SETTLE_SECONDS))
            cluster.delete(pod.ref)
            wait_gone(cluster, pod.ref, Deadline.patience(SETTLE_SECONDS))
        cluster.close()
        wait_until("nothing changes any more", lambda: quiet(running), Deadline.patience(SETTLE_SECONDS))
        yield running


def quiet(sandbox: daemon.RunningSandbox) -> bool:
    """Whether two seconds change nothing."""
    before = snapshot(sandbox)
    time.sleep(2)
    return not left(before, snapshot(sandbox))


def settled(sandbox: daemon.RunningSandbox, before: Snapshot) -> list[str]:
    """What is left once nothing changes any more, at the latest after `SETTLE_SECONDS`."""
    end = time.monotonic() + SETTLE_SECONDS
    while (found := left(before, snapshot(sandbox))) and time.monotonic() < end:
        time.sleep(1)
    return found


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in EACH_PUSH else (pytest.mark.slow,))
        for path in BINDINGS
        if load_binding(path).facts.ip_provider != "sticky"
    ],
)
def test_nothing_is_left_of_a_run(definition: Path, sandbox: daemon.RunningSandbox, tmp_path: Path) -> None:
    before = snapshot(sandbox)
    run(definition, sandbox, tmp_path)
    found = settled(sandbox, before)
    assert not found, "\n".join(found)


def test_a_link_that_a_cni_plugin_leaves_on_a_node_is_seen(sandbox: daemon.RunningSandbox, tmp_path: Path) -> None:
    before = snapshot(sandbox)
    run(ROOT / "fixtures" / "mutants" / "passt-link-left-behind.yaml", sandbox, tmp_path, ONE_VM)
    found = left(before, snapshot(sandbox))
    assert [word for word in found if word.startswith("+ link of ")], found


def run(
    definition: Path,
    sandbox: daemon.RunningSandbox,
    directory: Path,
    requirements: Collection[str] = REQUIREMENTS,
) -> None:
    """One run of the suite's command with this definition, on the sandbox."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider", "--binding", str(definition)]
    command += ["--sandbox-state", str(sandbox.state.path), "--report-dir", str(directory)]
    command += [f"--requirement={requirement}" for requirement in requirements]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    report = directory / "report.yaml"
    assert report.exists(), f"no report:\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    verdicts = {entry.id: entry.verdict for entry in read_report(report).entries}
    assert verdicts["VM-001"] is Verdict.CONFORMANT, ran.stdout[-4000:]

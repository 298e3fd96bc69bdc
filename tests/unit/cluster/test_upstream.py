"""KubeVirt's own conformance suite: what is run, and how its results come into the report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from conformance.cluster.ginkgo import NotJUnit, parse_junit
from conformance.cluster.upstream import UpstreamRun
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import NAMESPACE, POD, dig
from conformance.model import Report, UpstreamResult, UpstreamSuite
from conformance.report import dump_junit, dump_report, parse_report, render_html
from tests.unit.kube.apiserver import set_status
from tests.unit.report import samples

JUNIT = Path(__file__).parents[2] / "data" / "upstream" / "junit.xml"
IMAGE = "quay.io/kubevirt/conformance:v1.9.0"


@pytest.fixture
def suite() -> UpstreamSuite:
    return parse_junit(JUNIT.read_text(), IMAGE)


@pytest.fixture
def report(suite: UpstreamSuite) -> Report:
    return replace(samples.report(), upstream=suite)


def test_cases_that_ran_are_told_from_those_left_out(suite: UpstreamSuite) -> None:
    assert [(case.result, case.seconds) for case in suite.cases] == [
        (UpstreamResult.PASSED, 61.5),
        (UpstreamResult.PASSED, 80.25),
        (UpstreamResult.FAILED, 120.0),
    ]
    assert suite.skipped == 2
    assert suite.seconds == 312.5
    assert suite.failed[0].message.startswith("Timed out after 30.001s.\nExpected the VM")
    assert suite.summary == "2 passed, 1 failed, 2 skipped"


def test_a_suite_that_could_not_be_set_up_failed() -> None:
    text = JUNIT.read_text().replace(
        'status="passed" time="11.2">', 'status="failed" time="11.2"><failure message="no KubeVirt" type="failed"/>'
    )
    failed = parse_junit(text, IMAGE).failed
    assert failed[0].name == "[SynchronizedBeforeSuite]"


@pytest.mark.parametrize(("text", "complaint"), [("", "not XML"), ("<testsuites/>", "no testcase"), ("<a>", "not XML")])
def test_what_is_no_result_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(NotJUnit, match=complaint):
        parse_junit(text, IMAGE)


def test_every_form_of_the_report_has_the_section_and_no_verdict_changes(report: Report, suite: UpstreamSuite) -> None:
    assert parse_report(dump_report(report), Path("r")).upstream == suite
    assert report.judgement == replace(report, upstream=None).judgement
    page = render_html(report)
    assert "KubeVirt&#39;s own conformance suite" in page or "KubeVirt's own conformance suite" in page
    assert "2 passed, 1 failed, 2 skipped" in page
    assert "denies by default &lt;v4&gt;" in page
    assert "Expected the VM to answer a ping" in page
    junit = dump_junit(report)
    assert 'name="KubeVirt\'s own conformance suite" tests="3" failures="1"' in junit
    assert "upstream" not in dump_report(replace(report, upstream=None))


@dataclass
class Recorded(UpstreamRun):
    """A run whose pod's files are here, since no kubelet runs it."""

    files: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str:
        return self.files.get(Path(path).name, "")


def recorded(cluster: Cluster, run_id: str, kubevirt: str = "v1.9.0") -> Recorded:
    return Recorded(cluster, run_id, "mine", IMAGE, "python", kubevirt, lambda _: None, hours=0.01)


@contextmanager
def kubelet(cluster: Cluster, run: Recorded, state: dict[str, object], **files: str) -> Iterator[None]:
    """Sets the status of the suite's container once its pod is there, then gives the files."""
    stop = threading.Event()

    def play() -> None:
        ref = POD.ref("upstream", run.namespace)
        while not stop.wait(0.05):
            try:
                if cluster.find(ref) is None:
                    continue
                running = {"name": "keeper", "ready": True, "restartCount": 0, "image": "", "imageID": ""}
                keeper = {**running, "state": {"running": {}}}
                set_status(cluster, ref, {"containerStatuses": [{**running, "name": "conformance", **state}, keeper]})
            except KubeError:
                continue
            run.files.update(files)
            return

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def test_it_runs_with_the_binding_as_primary_and_gives_its_results(cluster: Cluster, suite: UpstreamSuite) -> None:
    run = recorded(cluster, "0000aaaa")
    with kubelet(cluster, run, {"state": {"running": {}}}, done="/x", **{"junit.xml": JUNIT.read_text()}):
        assert run.run() == suite
    pod = cluster.get(POD.ref("upstream", run.namespace))
    env = {e["name"]: e["value"] for e in dig(pod, "spec", "containers", 0, "env")}
    assert env["PRIMARY_NETWORK_BINDING_PLUGIN"] == "mine"
    assert env["CONTAINER_TAG"] == "v1.9.0"
    assert "(conformance)" in env["E2E_LABEL"]
    ledger = cluster.ledger
    assert ledger is not None
    made = {str(record.ref.any_uid()) for record in ledger.open_records()}
    assert {f"Namespace {run.namespace}", f"ClusterRoleBinding {run.namespace}"} <= made, "it is undone with the run"
    assert cluster.find(NAMESPACE.ref(run.namespace)) is not None


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        ({"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}, "ErrImagePull: not found"),
        ({"state": {"terminated": {"exitCode": 137}}}, "exit status 137"),
    ],
)
def test_what_keeps_it_from_a_result_is_said_and_not_raised(
    cluster: Cluster, state: dict[str, object], trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.cluster.upstream.pod_logs", lambda *_, **__: "its last words")
    run = recorded(cluster, f"0000{abs(hash(trouble)) % 10000:04d}")
    with kubelet(cluster, run, state):
        found = run.run()
    assert trouble in found.trouble
    assert "its last words" in found.trouble
    assert found.summary == "no result"


def test_a_release_without_the_switch_is_named_and_nothing_is_made(cluster: Cluster) -> None:
    run = recorded(cluster, "0000bbbb", kubevirt="v1.8.2")
    assert "only from 1.9 on" in run.run().trouble
    assert cluster.find(NAMESPACE.ref(run.namespace)) is None

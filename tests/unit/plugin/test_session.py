"""Whole sessions, run as a user runs them, on an API server that plays the cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import KUBEVIRT, NAMESPACE, NODE, dig
from conformance.kube.registration import Registration
from conformance.model import Mode, SkipReason, Summary, Verdict
from conformance.report import read_report
from tests.unit.kube.apiserver import Server

BINDING = """
apiVersion: binding-conformance/v1alpha1
kind: BindingDefinition
metadata: {name: sample}
spec:
  implementation: {organization: example, project: sample, version: "1"}
  registration: {domainAttachmentType: tap, migration: {}}
  capabilities: [pod, mig]
"""

SUITE = """
import os, signal, time
import pytest
from conformance.kube.outcome import Inconclusive, NonConformant
from conformance.kube.manifest import NAMESPACE
from conformance.model import Measurement

@pytest.fixture
def broken():
    assert 1 == 2, "the machine is not there"

@pytest.mark.requirement("REG-001")
def test_holds(run, measure):
    assert run.binding.name == "sample"
    assert run.cluster.get(NAMESPACE.ref(run.workspace))
    measure(Measurement("start", 1.5, "s", "a clock"))

@pytest.mark.requirement("REG-007")
@pytest.mark.parametrize("value", ["good", "bad"])
def test_violated_in_one_variant(value):
    assert value == "good", f"saw {value}, wanted good"

@pytest.mark.requirement("VM-001")
def test_environment(run):
    raise Inconclusive("no second node", about=[NAMESPACE.ref(run.workspace)])

@pytest.mark.requirement("VM-002")
def test_precondition(broken):
    pass

@pytest.mark.requirement("OBS-001")
def test_bug_in_the_check():
    {}["missing"]

@pytest.mark.requirement("OBS-003")
def test_named_fault():
    raise NonConformant("status shows no address")

@pytest.fixture
def client_pods(run):
    run.alibi = lambda: "pods do not reach each other"

@pytest.mark.requirement("CONN-001")
def test_closed(client_pods):
    assert False, "no answer from the VM"

@pytest.mark.requirement("MIG-003")
def test_skips():
    pytest.skip("one node only")

@pytest.mark.requirement("DHCP-002")
def test_not_declared():
    raise SystemExit("never runs")
"""


@dataclass(frozen=True)
class Project:
    """A directory with a suite and a binding, on one cluster."""

    path: Path
    kubeconfig: Path

    @property
    def report(self) -> Path:
        return self.path / "report"

    def command(self, *options: str) -> list[str]:
        given = ["--binding", str(self.path / "sample.yaml"), "--cluster", "kubeconfig", "--kubeconfig"]
        given += [str(self.kubeconfig), "--report-dir", str(self.report)]
        plugins = ["-p", "conformance.plugin", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", str(self.path), *plugins, "-c", os.devnull, *given, *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options), capture_output=True, text=True, check=False, env=self.environment, timeout=120
        )

    @property
    def environment(self) -> dict[str, str]:
        state = {"XDG_STATE_HOME": str(self.path / "state"), "PYTHONPATH": os.pathsep.join(sys.path)}
        return {**os.environ, **state, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture(scope="module")
def ready_server(server: Server) -> Server:
    """The server with a node, and with a KubeVirt that is deployed."""
    cluster = server.cluster()
    for name in ("node-1", "node-2"):
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    status = {"phase": "Deployed", "observedKubeVirtVersion": "v1.9.0"}
    cluster.patch(KUBEVIRT.ref("kubevirt", "kubevirt"), {"status": status}, subresource="status")
    assert cluster.list(NODE).items
    cluster.close()
    return server


def namespaces_of_runs(cluster: Cluster) -> set[str]:
    """The namespaces that runs have made; other tests of this server may leave some that nobody empties."""
    names = {str(dig(namespace, "metadata", "name")) for namespace in cluster.list(NAMESPACE).items}
    return {name for name in names if name.startswith("kbc-")}


@pytest.fixture
def project(tmp_path: Path, ready_server: Server) -> Iterator[Project]:
    (tmp_path / "sample.yaml").write_text(BINDING)
    (tmp_path / "test_suite.py").write_text(SUITE)
    made = Project(tmp_path, ready_server.kubeconfig)
    cluster = ready_server.cluster()
    before = namespaces_of_runs(cluster)
    yield made
    assert Registration(cluster, "sample").current() is None
    assert namespaces_of_runs(cluster) <= before
    assert not list((tmp_path / "state").glob("*/runs/*"))
    cluster.close()


def test_every_kind_of_outcome_reaches_the_report(project: Project) -> None:
    done = project.run()
    assert done.returncode == 1, done.stdout + done.stderr
    report = read_report(project.report / "report.yaml")
    verdicts = {entry.id: entry.verdict for entry in report.entries}
    assert {key: verdicts[key] for key in ("REG-001", "REG-007", "VM-001", "VM-002", "OBS-001", "OBS-003")} == {
        "REG-001": Verdict.CONFORMANT,
        "REG-007": Verdict.NON_CONFORMANT,
        "VM-001": Verdict.INCONCLUSIVE,
        "VM-002": Verdict.INCONCLUSIVE,
        "OBS-001": Verdict.INCONCLUSIVE,
        "OBS-003": Verdict.NON_CONFORMANT,
    }
    entries = {entry.id: entry.outcome for entry in report.entries}
    assert verdicts["CONN-001"] is Verdict.INCONCLUSIVE, "pods without the binding have the same trouble"
    assert entries["CONN-001"].message == "no answer from the VM\nassert False\nbut pods do not reach each other"
    assert "saw bad, wanted good" in entries["REG-007"].message
    assert "a precondition of the check does not hold" in entries["VM-002"].message
    assert entries["MIG-003"].skip is not None
    assert entries["MIG-003"].skip.reason is SkipReason.ENVIRONMENT_LACKS
    assert entries["DHCP-002"].verdict is Verdict.NOT_DECLARED
    assert entries["LIFE-001"].skip is not None
    assert entries["LIFE-001"].skip.reason is SkipReason.NO_CHECK
    assert [(m.name, m.value) for m in entries["REG-001"].measurements] == [("start", 1.5)]
    assert (report.mode, report.judgement.summary) == (Mode.KUBECONFIG, Summary.NON_CONFORMANT)


def test_what_a_run_leaves_in_the_report_directory(project: Project) -> None:
    project.run()
    assert (project.report / "index.html").read_text().lstrip().lower().startswith("<!doctype html>")
    assert ET.parse(project.report / "junit.xml").getroot() is not None
    timeline = json.loads((project.report / "timeline.json").read_text())
    assert [line["requirement"] for line in timeline][:2] == ["REG-001", "REG-007"]
    evidence = project.report / "evidence" / "OBS-003"
    assert "status shows no address" in (evidence / "failure.txt").read_text()
    assert "kind: KubeVirt" in (evidence / "kubevirt.yaml").read_text()
    reason = next((project.report / "evidence" / "VM-001").glob("namespace-*.yaml"))
    assert "kind: Namespace" in reason.read_text(), "what shows why a check could not decide is kept too"


def test_a_limited_run_judges_only_that(project: Project) -> None:
    done = project.run("--requirement", "REG-001")
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(project.report / "report.yaml")
    assert report.judgement.summary is Summary.PARTIAL
    assert [e.id for e in report.entries if e.verdict is Verdict.CONFORMANT] == ["REG-001"]


def test_a_requirement_of_which_no_part_is_for_this_binding_has_no_check(project: Project) -> None:
    (project.path / "test_suite.py").write_text(
        "import pytest\n\n@pytest.mark.requirement('REG-001')\ndef test_one(run):\n    pass\n\n"
        "@pytest.mark.requirement('MIG-007')\n@pytest.mark.where('sec')\ndef test_other(run):\n    pass\n"
    )
    project.run()
    report = read_report(project.report / "report.yaml")
    outcome = next(entry.outcome for entry in report.entries if entry.id == "MIG-007")
    assert outcome.skip is not None
    assert outcome.skip.reason is SkipReason.NO_CHECK


def test_what_disturbs_the_nodes_comes_last(project: Project) -> None:
    body = "".join(
        f"@pytest.mark.requirement({name!r})\n{mark}def test_{index}(run):\n    assert not run.disruption\n\n"
        for index, (name, mark) in enumerate(
            [("LIFE-004", "@pytest.mark.disruptive\n"), ("REG-001", ""), ("VM-001", "")]
        )
    )
    (project.path / "test_suite.py").write_text(f"import pytest\n\n{body}")
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    timeline = json.loads((project.report / "timeline.json").read_text())
    assert [line["requirement"] for line in timeline] == ["REG-001", "VM-001", "LIFE-004"]


def test_workers_only_connect_and_their_outcomes_arrive(project: Project) -> None:
    pytest.importorskip("xdist")
    done = project.run("-p", "xdist", "-n", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    report = read_report(project.report / "report.yaml")
    verdicts = {entry.id: entry.verdict for entry in report.entries}
    assert verdicts["REG-001"] is Verdict.CONFORMANT
    assert verdicts["OBS-003"] is Verdict.NON_CONFORMANT
    assert done.stdout.count("registering sample") == 1
    timeline = json.loads((project.report / "timeline.json").read_text())
    assert len({line["worker"] for line in timeline}) == 1, "checks of one directory stay in one worker"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_reports(project: Project, number: signal.Signals) -> None:
    (project.path / "test_suite.py").write_text(
        SUITE + "\n@pytest.mark.requirement('LIFE-001')\ndef test_zz_long(run):\n"
        f"    open({str(project.path / 'there')!r}, 'w').close()\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        project.command(), stdout=subprocess.PIPE, text=True, env=project.environment, start_new_session=True
    )
    until = time.monotonic() + 180
    while not (project.path / "there").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=180)
    assert process.returncode in (1, 3)
    report = read_report(project.report / "report.yaml")
    last = next(entry.outcome for entry in report.entries if entry.id == "LIFE-001")
    assert last.skip is not None
    assert last.skip.reason is SkipReason.INTERRUPTED


def test_a_name_that_is_taken_is_refused_and_left_alone(project: Project, cluster: Cluster) -> None:
    somebody = {"spec": {"configuration": {"network": {"binding": {"sample": {"domainAttachmentType": "managedTap"}}}}}}
    kubevirt = KUBEVIRT.ref("kubevirt", "kubevirt")
    cluster.patch(kubevirt, somebody)
    done = project.run()
    assert done.returncode == 3, done.stdout
    assert "is set already" in done.stdout
    assert Registration(cluster, "sample").current() == {"domainAttachmentType": "managedTap"}
    cluster.patch(kubevirt, [{"op": "remove", "path": "/spec/configuration/network/binding/sample"}], type="json")


def test_a_bad_definition_ends_with_two_and_says_where(project: Project) -> None:
    (project.path / "sample.yaml").write_text(BINDING.replace("mig]", "migg]"))
    done = project.run()
    assert done.returncode == 2
    assert "spec.capabilities" in done.stdout
    assert "fix:" in done.stdout


def test_no_cluster_ends_with_three(project: Project, tmp_path: Path) -> None:
    done = Project(project.path, tmp_path / "no-such-file").run()
    assert done.returncode == 3
    assert "no-such-file" in done.stdout


def test_nothing_is_provisioned_to_list_the_checks(project: Project) -> None:
    done = Project(project.path, Path("/nonexistent")).run("--collect-only", "-q")
    assert done.returncode == 0
    assert "test_holds" in done.stdout
    assert not project.report.exists()


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("@pytest.mark.requirement('NO-999')", "no requirement 'NO-999'"),
        ("@pytest.mark.requirement('REG-001')\n@pytest.mark.requirement('REG-002')", "exactly one requirement"),
        ("@pytest.mark.requirement", "exactly one requirement"),
    ],
)
def test_a_wrong_marker_is_a_usage_error(project: Project, marker: str, complaint: str) -> None:
    (project.path / "test_suite.py").write_text(f"import pytest\n{marker}\ndef test_it():\n    pass\n")
    done = project.run("--collect-only")
    assert done.returncode == 4
    assert complaint in done.stderr + done.stdout


def test_checks_without_a_binding_are_refused(project: Project) -> None:
    command = [sys.executable, "-m", "pytest", str(project.path), "-p", "conformance.plugin", "-c", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=project.environment, timeout=60)
    assert done.returncode == 4
    assert "--binding" in done.stderr

"""Shards: how checks are divided, and that the joined report is the one a single run writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.kube.registration import Registration
from conformance.model import Report, SkipReason, Verdict
from conformance.plugin.sharding import INDEX, Shard, ShardError, family_of
from conformance.report import read_report, write_report
from conformance.report.merge import MergeError, merge_reports
from tests.unit.kube.apiserver import Server
from tests.unit.plugin.test_session import BINDING, Project, project, ready_server

__all__ = ["project", "ready_server"]

CHECKS = [
    ("suites/dhcp/test_a.py::test", "DHCP-001"),
    ("suites/dhcp/test_b.py::test", "DHCP-002"),
    ("suites/dhcp/test_b.py::test_more", "DHCP-002"),
    ("suites/link/test_a.py::test", "LINK-001"),
    ("suites/mtu/test_a.py::test", "MTU-001"),
    ("suites/net/test_a.py::test", "LINK-001"),
    ("suites/vm/test_a.py::test", "VM-001"),
]
runner = CliRunner()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_every_check_is_in_exactly_one_shard_and_no_group_is_split(count: int) -> None:
    shares = [Shard(index, count).mine(reversed(CHECKS)) for index in range(1, count + 1)]
    assert sum(map(len, shares)) == len(CHECKS)
    assert set().union(*shares) == {nodeid for nodeid, _ in CHECKS}
    for share in shares:
        families = {family_of(nodeid) for nodeid in share}
        assert share == {nodeid for nodeid, _ in CHECKS if family_of(nodeid) in families}
        assert ("suites/link" in families) == ("suites/net" in families), "they decide one requirement together"


def test_shards_are_of_about_one_size() -> None:
    assert [len(Shard(index, 2).mine(CHECKS)) for index in (1, 2)] == [4, 3]


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "-1/2", "1/0"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ShardError, match="write I/N"):
        Shard.parse(text)
    done = runner.invoke(app, ["run", "managedtap", "--shard", text])
    assert done.exit_code == 2
    assert "write I/N" in done.output


def test_a_pod_of_an_indexed_job_knows_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INDEX, "0")
    assert str(Shard.parse("job/3")) == "1/3"
    monkeypatch.setenv(INDEX, "3")
    with pytest.raises(ShardError):
        Shard.parse("job/3")
    monkeypatch.delenv(INDEX)
    with pytest.raises(ShardError, match="indexed Job"):
        Shard.parse("job/3")


SUITES = {
    "one": """
@pytest.mark.requirement("REG-001")
def test_holds(): pass
@pytest.mark.requirement("REG-007")
@pytest.mark.parametrize("value", ["good", "bad"])
def test_violated(value): assert value == "good", f"saw {value}, wanted good"
""",
    "two": """
@pytest.mark.requirement("VM-001")
def test_environment(): raise Inconclusive("no second node")
@pytest.mark.requirement("OBS-003")
def test_fault(): raise NonConformant("status shows no address")
""",
    "three": """
@pytest.mark.requirement("MIG-003")
def test_holds(measure): measure(Measurement("migration", 2.0, "s", "a clock"))
""",
}
HEAD = """import pytest
from conformance.kube.outcome import Inconclusive, NonConformant
from conformance.model import Measurement
"""


@pytest.fixture
def divided(project: Project) -> Project:
    """A project whose checks are in three directories."""
    (project.path / "test_suite.py").unlink()
    for name, text in SUITES.items():
        (project.path / name).mkdir()
        (project.path / name / f"test_{name}.py").write_text(HEAD + text)
    return project


def facts(report: Report) -> list[object]:
    """What a report says of each requirement, without times."""
    return [
        (e.id, e.verdict, e.outcome.message, e.outcome.skip, e.outcome.evidence, e.outcome.measurements)
        for e in report.entries
    ]


def test_two_shards_joined_say_what_one_run_says(divided: Project, tmp_path: Path) -> None:
    assert divided.run().returncode == 1
    alone = read_report(divided.report / "report.yaml")
    shards = [tmp_path / "first", tmp_path / "second"]
    for index, directory in enumerate(shards, 1):
        divided.run("--shard", f"{index}/2", "--report-dir", str(directory))
        report = read_report(directory / "report.yaml")
        left = [e.id for e in report.entries if e.outcome.skip and e.outcome.skip.reason is SkipReason.OTHER_SHARD]
        assert left, "some are left to the other one"
        assert report.environment["shard"] == f"{index}/2"

    target = tmp_path / "joined"
    done = runner.invoke(app, ["verify", "--merge", *map(str, shards), "--report-dir", str(target)])
    assert done.exit_code == 1, done.output
    joined = read_report(target / "report.yaml")
    assert facts(joined) == facts(alone)
    assert joined.judgement == alone.judgement
    assert joined.environment["shards"] == "2"
    assert all((target / path).exists() for e in joined.entries for path in e.outcome.evidence)
    assert (target / "index.html").exists()
    assert "OBS-003" in (target / "timeline.json").read_text()


def test_a_shard_that_holds_ends_with_zero_and_an_idle_one_too(divided: Project) -> None:
    (divided.path / "one" / "test_one.py").unlink()
    (divided.path / "two" / "test_two.py").unlink()
    assert divided.run("--shard", "1/2").returncode == 0
    assert divided.run("--shard", "2/2").returncode == 0
    report = read_report(divided.report / "report.yaml")
    assert not [e for e in report.entries if e.verdict is Verdict.CONFORMANT]


def test_workers_share_a_shard(divided: Project) -> None:
    pytest.importorskip("xdist")
    divided.run("-p", "xdist", "-n", "2", "--shard", "1/2")
    report = read_report(divided.report / "report.yaml")
    skipped = {e.id for e in report.entries if e.outcome.skip and e.outcome.skip.reason is SkipReason.OTHER_SHARD}
    assert skipped == {"VM-001", "OBS-003", "MIG-003"}


def test_shards_share_a_registration_that_an_administrator_made(divided: Project, ready_server: Server) -> None:
    definition, kubeconfig = str(divided.path / "sample.yaml"), str(divided.kubeconfig)
    registered = ["--registered", "--requirement", "REG-001"]
    assert runner.invoke(app, ["register", definition, "--kubeconfig", kubeconfig]).exit_code == 0
    assert runner.invoke(app, ["register", definition, "--kubeconfig", kubeconfig]).exit_code == 0, "as it should be"
    done = divided.run(*registered)
    assert done.returncode == 0, done.stdout
    cluster = ready_server.cluster()
    assert Registration(cluster, "sample").current() is not None, "it stays"

    other = BINDING.replace("domainAttachmentType: tap", "domainAttachmentType: managedTap")
    (divided.path / "sample.yaml").write_text(other)
    done = divided.run(*registered, "--timeout-factor", "0.001")
    assert done.returncode == 3
    assert "binding-conformance register" in done.stdout

    assert runner.invoke(app, ["unregister", definition, "--kubeconfig", kubeconfig]).exit_code == 0
    assert Registration(cluster, "sample").current() is None
    cluster.close()


@pytest.fixture
def shards(divided: Project) -> list[Report]:
    divided.run("--requirement", "REG-001")
    report = read_report(divided.report / "report.yaml")
    return [replace(report, environment={**report.environment, "shard": f"{index}/2"}) for index in (1, 2)]


def test_reports_that_do_not_belong_together_are_refused(shards: list[Report], tmp_path: Path) -> None:
    first, second = shards
    for other, complaint in (
        (replace(second, kubevirt_version="v1.8.0"), "KubeVirt differs: 'v1.9.0' and 'v1.8.0'"),
        (replace(second, binding=replace(second.binding, digest="x")), "binding differs"),
        (replace(second, environment={"shard": "2/3"}), "they say 1/2, 2/3"),
        (replace(second, environment={}), "they say 1/2, none"),
        (first, "missing: 2/2; there twice: 1/2"),
    ):
        with pytest.raises(MergeError, match=complaint):
            merge_reports([first, other])
    with pytest.raises(MergeError, match="missing: 2/2"):
        merge_reports([first])
    write_report(first, tmp_path / "a")
    done = runner.invoke(app, ["verify", "--merge", str(tmp_path / "a")])
    assert done.exit_code == 2
    assert "missing: 2/2" in done.output
    assert runner.invoke(app, ["verify", str(tmp_path / "a"), str(tmp_path / "a")]).exit_code == 2

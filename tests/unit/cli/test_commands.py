"""The commands as a user types them: output, exit status, and what is checked before anything starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.access.logins import Login, Logins
from conformance.cli import doctoring, running
from conformance.cli.main import app
from conformance.cli.running import Request
from conformance.cluster.rundir import RunDirectory, RunInfo
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import CONFIG_MAP
from conformance.kube.registration import Registration
from conformance.sandbox.preflight import Finding
from tests.unit.kube.apiserver import Server
from tests.unit.plugin.test_session import BINDING

runner = CliRunner()


def test_list_prints_every_requirement_as_json_and_as_text() -> None:
    listed = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert {"id", "level", "title", "capabilities", "attachment", "minKubeVirt", "source", "mutants"} == set(listed[0])
    text = runner.invoke(app, ["list"]).stdout
    assert all(entry["id"] in text for entry in listed)


@pytest.mark.parametrize(("lacking", "status"), [("root", 3), ("/dev/kvm", 0)])
def test_doctor_tells_a_lack_from_a_hint(lacking: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Finding("root", lacking != "root", "uid 1000", "run as root"),
        Finding("/dev/kvm", lacking != "/dev/kvm", "not there", "enable nesting", required=False),
    ]
    monkeypatch.setattr(doctoring, "preflight", lambda *_: found)
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == status
    assert f"fix: {'run as root' if lacking == 'root' else 'enable nesting'}" in result.stdout


def test_doctor_installs_only_what_is_missing_and_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        [Finding("crun", False, "not found", "install crun", packages=("crun",))],
        [Finding("crun", True, "there")],
    ]
    installed: list[str] = []
    monkeypatch.setattr(doctoring, "preflight", lambda *_: looks.pop(0))
    monkeypatch.setattr(doctoring, "install_packages", lambda packages, progress: installed.extend(packages))
    assert runner.invoke(app, ["doctor", "--install"]).exit_code == 0
    assert installed == ["crun"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-binding"], "no bundled binding"),
        (["./no/such/file.yaml"], "the file does not exist"),
        (["BINDING", "--requirement", "NO-1"], "no requirement 'NO-1'"),
        (["BINDING", "--profile", "gold"], "no profile 'gold'"),
    ],
)
def test_bad_words_end_with_two_before_anything_starts(
    tmp_path: Path, arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_session", lambda _: pytest.fail("a session was started"))
    (tmp_path / "b.yaml").write_text(BINDING)
    result = runner.invoke(app, ["run", *[str(tmp_path / "b.yaml") if a == "BINDING" else a for a in arguments]])
    assert result.exit_code == 2, result.output
    assert complaint in result.output


def test_every_problem_of_a_definition_is_named_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(BINDING.replace("[pod, mig]", "[pod, migg]").replace("sample}", "Not_A_Label}"))
    result = runner.invoke(app, ["run", str(tmp_path / "b.yaml")])
    assert result.exit_code == 2
    assert "migg" in result.output
    assert "Not_A_Label" in result.output
    assert result.output.count("fix:") >= 2


@pytest.fixture
def request_for(tmp_path: Path) -> Request:
    (tmp_path / "b.yaml").write_text(BINDING)
    return Request(
        bindings=(str(tmp_path / "b.yaml"),),
        cluster="kubeconfig",
        kubeconfig=tmp_path / "kubeconfig",
        kubevirt_version="",
        kubernetes_version="",
        kind=(),
        profile="all",
        requirements=("REG-001",),
        workers=2,
        report_dir=tmp_path / "report",
        keep_on_failure=True,
        timeout_factor=2.0,
        secondary_network="",
        rerun_failed=None,
    )


def test_a_session_gets_what_the_user_said(request_for: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def session(command: list[str]) -> tuple[int, bool]:
        commands.append(command)
        return 0, False

    monkeypatch.setattr(running, "_session", session)
    assert running.judge_all(request_for, lambda _: None) == 0
    words = commands[0]
    assert words[:3] == [sys.executable, "-m", "pytest"]
    assert {"--cluster=kubeconfig", "--timeout-factor=2.0", "--requirement=REG-001", "--keep-on-failure"} <= set(words)
    assert words[-2:] == ["-n", "2"]


@pytest.mark.parametrize(("statuses", "worst"), [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 2], 2)])
def test_the_worst_binding_decides_and_each_has_its_directory(
    request_for: Request, statuses: list[int], worst: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(statuses)
    seen: list[list[str]] = []

    def session(command: list[str]) -> tuple[int, bool]:
        seen.append(command)
        return left.pop(0), False

    monkeypatch.setattr(running, "_session", session)
    assert running.judge_all(replace(request_for, bindings=request_for.bindings * 2), lambda _: None) == worst
    assert all(f"--report-dir={request_for.report_dir / 'sample'}" in command for command in seen)


def test_nothing_further_is_judged_once_told_to_stop(request_for: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def session(command: list[str]) -> tuple[int, bool]:
        seen.append(command)
        return 0, True

    monkeypatch.setattr(running, "_session", session)
    assert running.judge_all(replace(request_for, bindings=request_for.bindings * 2), lambda _: None) == 3
    assert len(seen) == 1


def test_sweep_undoes_a_killed_run_and_leaves_a_living_one(
    server: Server, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    script = (
        "import os, signal, sys, pathlib\n"
        "from conformance.access.logins import Login, Logins\n"
        "from conformance.cluster.rundir import RunDirectory\n"
        "from conformance.kube.cluster import Cluster\n"
        "from conformance.kube.registration import Registration\n"
        "from tests.unit.kube.test_cluster import config_map\n"
        "run = RunDirectory.create()\n"
        "run.describe('kubeconfig', Logins.same(Login(sys.argv[1])), pathlib.Path('b'))\n"
        "cluster = Cluster.connect(sys.argv[1], ledger=run.ledger('main'))\n"
        "cluster.create(config_map('killed'))\n"
        "Registration(cluster, 'killed').apply({'domainAttachmentType': 'tap'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        [sys.executable, "-c", script, str(server.kubeconfig)], env=environment, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert cluster.find(CONFIG_MAP.ref("killed", "default")) is not None
    living = RunDirectory.create()
    info: RunInfo = living.describe("kubeconfig", Logins.same(Login(str(server.kubeconfig))), tmp_path)
    result = runner.invoke(app, ["sweep"])
    assert result.exit_code == 0, result.output
    assert cluster.find(CONFIG_MAP.ref("killed", "default")) is None
    assert Registration(cluster, "killed").current() is None
    assert f"process {info.pid}" in result.output
    assert list((tmp_path / "kubevirt-binding-conformance" / "runs").iterdir()) == [living.path]

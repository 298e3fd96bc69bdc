"""What `--keep-on-failure` keeps: the VM of the failed check, reachable, until `down` ends everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import VMI
from conformance.sandbox import daemon
from conformance.sandbox.state import default_state_dir

ROOT = Path(__file__).parents[2]
MUTANT = ROOT / "fixtures" / "mutants" / "managedtap-no-dns.yaml"


def command(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of the command line with a state home of its own."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    return subprocess.run(
        [sys.executable, "-m", "conformance.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_kept_run_can_be_looked_at_and_ended(tmp_path: Path) -> None:
    report = ("--report-dir", str(tmp_path / "report"))
    ran = command(tmp_path, "run", str(MUTANT), "--requirement", "DHCP-003", "--keep-on-failure", *report)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "end it with `binding-conformance down`" in ran.stdout
    with daemon.attach(default_state_dir()) as kept:
        cluster = Cluster.connect(kept.kubeconfig)
        machine = next(vmi for vmi in cluster.list(VMI).items if vmi["status"]["phase"] == "Running")
        cluster.close()
        where = f"{machine['metadata']['namespace']}/{machine['metadata']['name']}"
        inside = command(tmp_path, "ssh", where, "--kubeconfig", str(kept.kubeconfig), "cat", "/proc/uptime")
        assert (inside.returncode, len(inside.stdout.split())) == (0, 2), inside.stderr
        assert command(tmp_path, "down").returncode == 0
        assert not kept.alive()
    assert not kept.state.path.exists()
    assert list((tmp_path / "state" / "kubevirt-binding-conformance" / "runs").iterdir()) == []

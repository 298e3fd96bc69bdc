"""The compute container's layer and mounts."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conformance.sandbox.launcher import ENTRY_POINT, compute_environment, compute_mounts, write_compute_layer


@dataclass(frozen=True)
class Pod:
    namespace: str = "ns"
    name: str = "pod"
    uid: str = "1234"


def test_the_layer_holds_an_entry_point_that_is_valid_shell(tmp_path: Path) -> None:
    layer = write_compute_layer(write_compute_layer(tmp_path / "layer"))
    script = layer / ENTRY_POINT.lstrip("/")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    missing = subprocess.run(["sh", str(script)], env={}, capture_output=True, text=True, check=False)
    assert "LAUNCHER_DIRECTORY" in missing.stderr
    assert missing.returncode != 0


def test_every_pod_sees_the_sockets_at_the_same_path(tmp_path: Path) -> None:
    shared, guests = tmp_path / "shared", tmp_path / "guests"
    mounts = {mount.destination: mount for mount in compute_mounts(shared, guests, Pod())}
    assert mounts[str(shared)].source == shared
    assert all(mount.source.is_dir() for mount in mounts.values())
    assert [mount.read_only for mount in mounts.values()].count(True) == 1, "only the guests are read-only"
    assert compute_environment(shared, Pod()) == {
        "LAUNCHER_DIRECTORY": f"{shared}/1234",
        "LIBVIRT_DEFAULT_URI": f"qemu+unix:///system?socket={shared}/1234/libvirt-sock",
    }

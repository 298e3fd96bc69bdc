"""Paths of a node as seen from outside it: no link leads out of its root."""

from pathlib import Path

import pytest

from conformance.sandbox.network.node import private_directory, resolve_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "run" / "x").mkdir(parents=True)
    (root / "var").mkdir()
    (root / "var" / "run").symlink_to("/run")
    (root / "up").symlink_to("../../../etc")
    (root / "loop").symlink_to("loop")
    return root


def test_an_absolute_link_stays_inside(root: Path) -> None:
    assert resolve_inside(root, "/var/run/x/new") == root / "run/x/new"


def test_nothing_leads_above_the_root(root: Path) -> None:
    assert resolve_inside(root, "/../../etc") == root / "etc"
    assert resolve_inside(root, "/up/passwd") == root / "etc/passwd"


def test_a_loop_of_links_is_an_error(root: Path) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        resolve_inside(root, "/loop/x")


def test_a_private_directory_has_one_name(tmp_path: Path) -> None:
    assert private_directory(tmp_path, "/opt/cni/bin") == tmp_path / "opt-cni-bin"

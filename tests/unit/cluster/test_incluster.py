"""The kubeconfig of the pod that the suite runs in."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.cluster.incluster import default_kubeconfig


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ServiceAccount as a pod sees it."""
    for name, text in (("token", "a-token"), ("ca.crt", "a certificate"), ("namespace", "conformance")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return tmp_path


def test_a_pod_speaks_as_its_account_and_rereads_its_token(account: Path) -> None:
    loaded = yaml.safe_load(default_kubeconfig(account).read_text())
    assert loaded["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:6443"
    assert loaded["clusters"][0]["cluster"]["certificate-authority"] == str(account / "ca.crt")
    assert loaded["users"][0]["user"] == {"tokenFile": str(account / "token")}
    assert loaded["contexts"][0]["context"]["namespace"] == "conformance"


def test_a_kubeconfig_of_the_users_own_comes_first(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = account / "home" / ".kube" / "config"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert default_kubeconfig(account) == own
    monkeypatch.setenv("KUBECONFIG", "/a:/b")
    assert default_kubeconfig(account) == Path("/a")


def test_outside_of_a_pod_it_is_the_usual_place(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert default_kubeconfig(account) == account / "home" / ".kube" / "config"

"""Where guest packages come from, without fetching any."""

from pathlib import Path

import pytest

from conformance.sandbox.guests import ensure_guest, packages
from conformance.sandbox.guests.packages import GuestBuildError, apt_sources, run_step


def configured(monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    monkeypatch.setattr(packages, "run_step", lambda what, argv: listing)


def test_the_hosts_own_archive_and_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "http://a.test/debian|tame|main\nhttp://a.test/s|tame-security|main\n")
    assert apt_sources() == ("tame", "deb http://a.test/debian tame main\n")


def test_another_suite_of_the_same_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "http://a.test/debian|tame|main\nhttp://b.test/x|tame|contrib\n")
    assert apt_sources("wild") == ("wild", "deb http://a.test/debian wild main\n")


def test_no_archive_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "")
    with pytest.raises(GuestBuildError, match="no release with a component main"):
        apt_sources()


def test_a_failing_step_says_which_and_why() -> None:
    with pytest.raises(GuestBuildError, match="trying: sh ended with status 3: broken"):
        run_step("trying", ["sh", "-c", "echo broken >&2; exit 3"])
    with pytest.raises(GuestBuildError, match="trying: no-such-program is not installed"):
        run_step("trying", ["no-such-program"])


def test_unknown_guest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown guest image 'maxi'"):
        ensure_guest(tmp_path, print, "maxi")

"""What is said of a machine that lacks something."""

import os
import stat
import sys
from pathlib import Path

import pytest

from conformance.sandbox import preflight as module
from conformance.sandbox.network import syscalls
from conformance.sandbox.preflight import Finding, InstallError, install_packages, missing_packages, preflight

_APT = """#!{python}
import os, sys
with open({log!r}, "a") as log:
    print(sys.argv[-1 - sys.argv[::-1].index("--no-install-recommends"):], file=log)
status = next(argument for argument in sys.argv if argument.startswith("APT::Status-Fd="))
os.write(int(status.partition("=")[2]), b"dlstatus:1:50.0:fetching\\npmstatus:crun:100.0:installed\\n")
{body}
"""


def apt(programs: Path, log: Path, body: str = "") -> None:
    install(programs / "apt-get", _APT.format(python=sys.executable, log=str(log), body=body))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def install(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_missing_programs_name_their_packages(programs: Path, tmp_path: Path) -> None:
    findings = preflight(tmp_path, tmp_path)
    crun = by_name(findings)["crun"]
    assert (crun.ok, crun.fix, crun.required) == (False, "apt-get install crun", True)
    assert missing_packages(findings) == ("mmdebstrap", "crun", "iproute2", "util-linux")
    assert "veth" not in by_name(findings), "nothing can be tried without the programs to try it"
    assert list(programs.iterdir()) == []


def test_mmdebstrap_is_not_missed_once_the_root_is_built(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "node_root", lambda cache: cache)
    finding = by_name(preflight(tmp_path, tmp_path))["mmdebstrap"]
    assert finding.ok
    assert "not needed" in finding.detail
    assert list(programs.iterdir()) == []


def test_a_user_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    finding = by_name(preflight(tmp_path, tmp_path))["root"]
    assert (finding.ok, finding.detail) == (False, "not root")
    assert "run as root" in finding.fix


def test_a_root_without_capabilities_is_told_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(syscalls, "own_capabilities", lambda: ("CAP_NET_ADMIN", "CAP_MKNOD"))
    finding = by_name(preflight(tmp_path, tmp_path))["root"]
    assert finding.detail == "root without CAP_SYS_ADMIN, CAP_NET_RAW, CAP_SYS_CHROOT"


def test_a_full_disk_is_told_with_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "STATE_BYTES", 1 << 62)
    finding = by_name(preflight(tmp_path, tmp_path / "not" / "yet"))["disk for the state"]
    assert not finding.ok
    assert "MB free" in finding.detail
    assert "choose another state directory" in finding.fix


def test_a_kernel_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch, programs: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_PROGRAMS", {"ip": "iproute2", "unshare": "util-linux"})
    monkeypatch.setattr(module, "_root", lambda: Finding("root", True, "root"))
    install(programs / "ip", "#!/bin/sh\n")
    install(programs / "unshare", "#!/bin/sh\necho 'Error: Unknown device type.' >&2\nexit 2\n")
    found = by_name(preflight(tmp_path, tmp_path))
    assert (found["veth"].ok, found["veth"].detail, found["veth"].fix) == (
        False,
        "Error: Unknown device type.",
        "modprobe veth",
    )
    assert found["veth"].required
    assert not found["dummy"].required, "only a remark: there is a way without it"


def test_packages_are_installed_with_progress(programs: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    apt(programs, log)
    seen: list[tuple[str, float]] = []
    install_packages(["crun", "mmdebstrap"], lambda stage, fraction: seen.append((stage, fraction)))
    assert seen == [("packages", 0.25), ("packages", 1.0)]
    assert log.read_text(encoding="utf-8") == "['--no-install-recommends', 'install', 'crun', 'mmdebstrap']\n"


def test_the_lists_are_fetched_only_when_the_first_try_fails(programs: Path, tmp_path: Path) -> None:
    log, marker = tmp_path / "log", tmp_path / "updated"
    apt(
        programs,
        log,
        f"""
if sys.argv[-1] == "update":
    open({str(marker)!r}, "w").close()
elif not os.path.exists({str(marker)!r}):
    sys.exit("E: Unable to locate package crun")
""",
    )
    install_packages(["crun"], lambda _stage, _fraction: None)
    called = [line.split("'")[3] for line in log.read_text(encoding="utf-8").splitlines()]
    assert called == ["install", "update", "install"]


def test_what_apt_says_is_kept(programs: Path, tmp_path: Path) -> None:
    apt(programs, tmp_path / "log", 'sys.exit("E: nothing works")')
    with pytest.raises(InstallError, match=r"cannot install crun:\n.*nothing works"):
        install_packages(["crun"], lambda _stage, _fraction: None)


def test_no_packages_no_apt(programs: Path) -> None:
    install_packages([], lambda _stage, _fraction: None)
    assert list(programs.iterdir()) == []

"""`doctor --cluster kind`: every precondition, fit or not and how to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.kindhost import Machine, preflight
from conformance.host.finding import Finding, obstacles
from tests.kind.conftest import FAKES, Workshop, command


def findings(workshop: Workshop, *words: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in preflight(KindOptions.parse(words), workshop.machine)}


def test_a_fit_machine_has_no_obstacle_and_every_precondition_listed(workshop: Workshop) -> None:
    found = findings(workshop, "ip-family=dual")
    assert not obstacles(found.values()), obstacles(found.values())
    assert list(found) == [
        "container engine",
        "kind",
        "rootful",
        "cgroup",
        "memory",
        "cores",
        "disk of /",
        "fs.inotify.max_user_instances",
        "fs.inotify.max_user_watches",
        "kvm",
        "vhost-net",
        "tun",
        "macvtap",
        "apparmor",
        "ipv6",
        "mtu",
    ]


Breaking = Callable[[Workshop], object]

OBSTACLES: dict[str, tuple[Breaking, str, str]] = {
    "container engine": (
        lambda w: w.fail("docker info", "permission denied ... docker.sock"),
        "permission denied",
        "systemctl start docker",
    ),
    "kind": (
        lambda w: (w.state / "kind-version").write_text("kind v0.26.0 go1.23.4 linux/amd64"),
        "v0.26.0",
        "install kind v0.27.0 or newer",
    ),
    "rootful": (lambda w: w.engine_says(SecurityOptions=["name=rootless"]), "rootless", "use a rootful engine"),
    "memory": (lambda w: w.engine_says(MemTotal=2 * 1024**3), "2.0 GiB, 6 GiB are needed", "more memory"),
    "fs.inotify.max_user_instances": (
        lambda w: w.write("proc/sys/fs/inotify/max_user_instances", "128\n"),
        "128, 512 are needed",
        "sysctl -w fs.inotify.max_user_instances=512",
    ),
    "fs.inotify.max_user_watches": (
        lambda w: w.write("proc/sys/fs/inotify/max_user_watches", "8192\n"),
        "8192, 524288 are needed",
        "sysctl -w fs.inotify.max_user_watches=524288",
    ),
    "vhost-net": (lambda w: (w.machine.root / "dev/vhost-net").unlink(), "not usable", "modprobe vhost_net"),
    "tun": (lambda w: (w.machine.root / "dev/net/tun").unlink(), "not usable", "modprobe tun"),
    "ipv6": (lambda w: w.write("proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n"), "off", "disable_ipv6=0"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_every_obstacle_is_found_with_its_fix(workshop: Workshop, name: str) -> None:
    breaking, detail, fix = OBSTACLES[name]
    breaking(workshop)
    found = findings(workshop, "ip-family=dual")
    assert [f.name for f in obstacles(found.values())] == [name]
    assert detail in found[name].detail
    assert fix in found[name].fix


APPARMOR = {
    "module/apparmor/parameters/enabled": "Y\n",
    "kernel/security/apparmor/profiles": "/usr/sbin/libvirtd (enforce)\nlibvirt-qemu (complain)\nfirefox (enforce)\n",
}

REMARKS: dict[str, tuple[Breaking, str, str]] = {
    "kvm": (lambda w: (w.machine.root / "dev/kvm").unlink(), "KubeVirt gets useEmulation", "nested virtualisation"),
    "cgroup": (lambda w: w.engine_says(CgroupVersion="1"), "version 1", "unified_cgroup_hierarchy"),
    "cores": (lambda w: w.engine_says(NCPU=2), "2", "--timeout-factor"),
    "macvtap": (lambda w: w.write("proc/modules", "tun 1 0\n"), "not loaded", "modprobe macvtap"),
    "apparmor": (
        lambda w: [w.write(f"sys/{path}", text) for path, text in APPARMOR.items()],
        "/usr/sbin/libvirtd",
        "aa-complain or aa-disable",
    ),
}


@pytest.mark.parametrize("name", REMARKS)
def test_what_is_worth_a_remark_is_no_obstacle(workshop: Workshop, name: str) -> None:
    breaking, detail, fix = REMARKS[name]
    breaking(workshop)
    found = findings(workshop)
    assert not obstacles(found.values())
    assert not found[name].ok
    assert detail in found[name].detail
    assert fix in found[name].fix


def test_without_kvm_nobody_asks_for_vhost_net(workshop: Workshop) -> None:
    (workshop.machine.root / "dev/kvm").unlink()
    (workshop.machine.root / "dev/vhost-net").unlink()
    assert not obstacles(findings(workshop).values())


def test_a_full_disk_is_an_obstacle(workshop: Workshop) -> None:
    found = preflight(KindOptions(), Machine(workshop.machine.root, lambda _: 1024**3))
    assert [f.name for f in obstacles(found)] == ["disk of /"]


def test_podman_is_asked_where_docker_does_not_answer(workshop: Workshop) -> None:
    workshop.podman_instead()
    shutil.copy(FAKES / "docker", workshop.path / "bin" / "docker")
    workshop.fail("docker info", "Cannot connect to the Docker daemon")
    found = findings(workshop)
    assert found["container engine"].detail == "podman 5.6.0"
    assert not obstacles(found.values())


def test_the_command_prints_pass_or_fix_for_each(workshop: Workshop) -> None:
    workshop.engine_says(MemTotal=1024**3)
    done = command("doctor", "--cluster", "kind", "--kind", f"bundle={workshop.bundle}")
    assert done.exit_code == 3, done.stderr
    assert "ok    registries: none is needed" in done.stdout
    assert "ok    digests: the lock has one of every image" in done.stdout
    assert "ok    kind: kind v0.32.0" in done.stdout
    assert "lack  memory: 1.0 GiB, 6 GiB are needed" in done.stdout
    assert "fix: give the engine more memory" in done.stdout

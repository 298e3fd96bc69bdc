"""What this machine lacks for a kind cluster with KubeVirt in it, before anything is made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conformance.cluster.kindcli import OLDEST, kind_tool, kind_version
from conformance.cluster.kindconfig import KindOptions
from conformance.host.engine import ENGINES, Engine, EngineFacts
from conformance.host.finding import Finding
from conformance.host.tool import ToolFailed, ToolMissing

INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
MEMORY_BYTES = 6 * 1024**3
DISK_BYTES = 20 * 1024**3
CORES = 4

_KIND_FIX = f"install kind v{'.'.join(map(str, OLDEST))}.0 or newer: https://kind.sigs.k8s.io/docs/user/quick-start/"


@dataclass(frozen=True)
class Machine:
    """The machine as files: ``root`` is where ``/proc``, ``/sys`` and ``/dev`` are looked for."""

    root: Path = Path("/")
    free_bytes: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)

    def text(self, path: str) -> str:
        """The text of a file, empty when it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def usable(self, path: str) -> bool:
        """Whether a device can be opened for reading and writing; that it is there says little."""
        try:
            os.close(os.open(self.root / path, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    @property
    def kvm(self) -> bool:
        """Whether guests can run on KVM."""
        return self.usable("dev/kvm")


def preflight(options: KindOptions, machine: Machine | None = None) -> list[Finding]:
    """Look at everything, in the order in which to mend it. Nothing on the machine is changed."""
    machine = machine or Machine()
    engine, facts, findings = _engine(options)
    findings.append(_kind(engine))
    if facts is not None:
        findings += _about_engine(facts, machine)
    findings += [_inotify(machine, name, least) for name, least in INOTIFY.items()]
    findings += [*_devices(machine), _apparmor(machine)]
    if options.ip_family == "dual":
        findings.append(_ipv6(machine))
    if engine is not None:
        findings.append(_mtu(engine))
    return findings


def _engine(options: KindOptions) -> tuple[Engine | None, EngineFacts | None, list[Finding]]:
    said = []
    for name in (options.engine,) if options.engine else ENGINES:
        engine = Engine(name)
        try:
            facts = engine.facts()
        except (ToolMissing, ToolFailed) as error:
            complaint = error.output.strip().splitlines()[:1] if isinstance(error, ToolFailed) else []
            said.append(f"{name}: {complaint[0]}" if complaint else str(error))
            continue
        return engine, facts, [Finding("container engine", True, f"{name} {facts.version}")]
    fix = "start it (`systemctl start docker`), be allowed to use it (group docker), or give --kind engine=podman"
    return None, None, [Finding("container engine", False, "; ".join(said), fix)]


def _kind(engine: Engine | None) -> Finding:
    try:
        text, numbers = kind_version(kind_tool(engine))
    except (ToolMissing, ToolFailed) as error:
        return Finding("kind", False, str(error), _KIND_FIX)
    if numbers[:2] < OLDEST:
        why = "its containerd does not read /etc/containerd/certs.d, and it does not know the node images"
        return Finding("kind", False, f"{text}: {why}", _KIND_FIX)
    return Finding("kind", True, text)


def _about_engine(facts: EngineFacts, machine: Machine) -> Iterator[Finding]:
    yield Finding(
        "rootful",
        not facts.rootless,
        "the engine runs rootless: KubeVirt's privileged pods cannot have the devices" if facts.rootless else "yes",
        "use a rootful engine: `sudo`, or `podman` as root" if facts.rootless else "",
    )
    old = facts.cgroup not in ("", "2")
    yield Finding(
        "cgroup",
        not old,
        f"version {facts.cgroup or 'unknown'}",
        "boot with systemd.unified_cgroup_hierarchy=1; new Kubernetes releases refuse version 1" if old else "",
        required=False,
    )
    if facts.memory:
        yield _least("memory", facts.memory, MEMORY_BYTES, "give the engine more memory, or use a larger machine")
    if facts.cores:
        enough = facts.cores >= CORES
        fix = "" if enough else "expect long waits; --timeout-factor stretches them"
        yield Finding("cores", enough, str(facts.cores), fix, required=False)
    root = Path(facts.root)
    if facts.root and root.exists():
        yield _least(f"disk of {root}", machine.free_bytes(root), DISK_BYTES, "free some: `docker system prune`")


def _least(name: str, found: int, least: int, fix: str) -> Finding:
    gibibytes = f"{found / 1024**3:.1f} GiB, {least / 1024**3:.0f} GiB are needed"
    return Finding(name, found >= least, gibibytes, "" if found >= least else fix)


def _inotify(machine: Machine, name: str, least: int) -> Finding:
    text = machine.text(f"proc/sys/fs/inotify/{name}").strip()
    value = int(text) if text.isdigit() else 0
    fix = f"sysctl -w fs.inotify.{name}={least} (else virt-handler ends with `too many open files`)"
    return Finding(f"fs.inotify.{name}", value >= least, f"{value}, {least} are needed", "" if value >= least else fix)


def _devices(machine: Machine) -> Iterator[Finding]:
    flags = set(machine.text("proc/cpuinfo").split())
    if machine.kvm:
        yield Finding("kvm", True, "usable: guests run on it", required=False)
        there = machine.usable("dev/vhost-net")
        fix = "" if there else "modprobe vhost_net (else VMs fail with `failed to set up vhost-net device`)"
        yield Finding("vhost-net", there, "usable" if there else "/dev/vhost-net is not usable", fix)
    else:
        virtual = flags & {"vmx", "svm"}
        why = "/dev/kvm is not usable" if virtual else "the processor (or the virtual machine we are in) has none"
        fix = "modprobe kvm_intel or kvm_amd, or allow nested virtualisation; without it guests are emulated, slowly"
        yield Finding("kvm", False, f"{why}: KubeVirt gets useEmulation", fix, required=False)
    tun = machine.usable("dev/net/tun")
    yield Finding("tun", tun, "usable" if tun else "/dev/net/tun is not usable", "" if tun else "modprobe tun")
    modules = {line.split()[0] for line in machine.text("proc/modules").splitlines() if line.split()}
    fix = "" if "macvtap" in modules else "modprobe macvtap; only a macvtap binding needs it"
    detail = "loaded" if "macvtap" in modules else "not loaded (it may be built in)"
    yield Finding("macvtap", "macvtap" in modules, detail, fix, required=False)


def _apparmor(machine: Machine) -> Finding:
    enabled = machine.text("sys/module/apparmor/parameters/enabled").strip() == "Y"
    profiles = machine.text("sys/kernel/security/apparmor/profiles")
    blocking = [line.split()[0] for line in profiles.splitlines() if "libvirt" in line and "(enforce)" in line]
    if not enabled or not blocking:
        return Finding("apparmor", True, "no profile of libvirt is enforced" if enabled else "off", required=False)
    names = ", ".join(blocking)
    fix = f"aa-complain or aa-disable {names} (package apparmor-utils), or use another host"
    detail = f"the host enforces {names}: it can keep virt-handler and libvirt in the pods from starting"
    return Finding("apparmor", False, detail, fix, required=False)


def _ipv6(machine: Machine) -> Finding:
    off = machine.text("proc/sys/net/ipv6/conf/all/disable_ipv6").strip() != "0"
    fix = "sysctl -w net.ipv6.conf.all.disable_ipv6=0, and an engine whose network has IPv6; or --kind ip-family=ipv4"
    return Finding("ipv6", not off, "off" if off else "on", fix if off else "")


def _mtu(engine: Engine) -> Finding:
    mtu = engine.network_mtu("kind") or engine.network_mtu("bridge")
    small = 0 < mtu < 1500
    fix = "expect smaller guest MTUs; they are compared with the pods', so nothing fails for it" if small else ""
    return Finding("mtu", not small, str(mtu) if mtu else "the engine's default", fix, required=False)

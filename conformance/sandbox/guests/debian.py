"""Debian guests: systemd, cloud-init, OpenSSH and the guest agent on a disk, and the network stacks of real VMs.

Two variants, alike but for who configures the NICs: `networkd` and `networkmanager`. Both have the account of the
Fedora test image that they stand for. The kernel is booted directly, with an initramfs that only finds the disk: no
boot loader, no firmware menu.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.sandbox.guests.cpio import Archive
from conformance.sandbox.guests.ext4 import write_file_system
from conformance.sandbox.guests.kernel import extract_vmlinux, find_kernel, module_order, read_module
from conformance.sandbox.guests.packages import ForeignRoot, Progress, extract_packages, install_packages

FILES = Path(__file__).parent / "debian"
DISK_MEGABYTES = 900
LABEL = "guestroot"

_COMMON = (
    "cloud-init",
    "dbus",
    "ethtool",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "procps",
    "python3",
    "qemu-guest-agent",
    "sudo",
    "systemd-sysv",
    "udev",
)
_KERNEL = ("busybox-static", "linux-image-amd64", "lz4", "zstd")
"""The full kernel: the one for clouds drives no NIC that QEMU emulates, only virtio."""

_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "ahci",
    "sd_mod",
    "e1000",
    "e1000e",
    "8139cp",
    "cdrom",
    "isofs",
    "button",
    "evdev",
    "crc32c_generic",
    "crc32c_intel",
    "ext4",
    "autofs4",
)
_PASSWORD = "$6$conformance$QmUScqxpCBo/SOIQ4YqhA05aFlW7mF1M2/G0MCcQtDkOPD6MYtXJugD.ZzexGKONJqaKqzA4p1Oz3q/RVjDfd0"
"""The published password of the Fedora test image, `fedora`, as crypt(3) has it."""

_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "NetworkManager-wait-online.service",
    "systemd-networkd-wait-online.service",
    "cloud-init-hotplugd.socket",
)
"""What costs time at boot and does nothing for a VM that lives for minutes."""

_LEFTOVERS = (
    "etc/machine-id",
    "etc/hostname",
    "etc/resolv.conf",
    "var/lib/dbus/machine-id",
    "var/cache/ldconfig/aux-cache",
    "var/lib/systemd/random-seed",
    "etc/systemd/system/multi-user.target.wants/networking.service",
)


@dataclass(frozen=True)
class Debian:
    """The recipe of one variant. `packages` come on top of what both have; `units` are enabled, `tree` is laid over."""

    name: str
    packages: Sequence[str]
    units: Sequence[str]
    resolv_conf: str | None = None

    kernel_arguments = (
        "console=ttyS0",
        "quiet",
        "mitigations=off",
        "tsc=reliable",
        "no_timer_check",
        "nokaslr",
        "panic=-1",
        "random.trust_cpu=on",
        "systemd.show_status=0",
        "cloud-init=enabled",
        f"root=LABEL={LABEL}",
    )
    boots_disk = True

    def ingredients(self) -> Iterator[bytes]:
        """See Recipe."""
        yield repr((self.name, _COMMON, self.packages, self.units, _KERNEL, _MODULES, DISK_MEGABYTES)).encode()
        for path in (Path(__file__), Path(__file__).with_name("ext4.py"), *sorted(FILES.rglob("*"))):
            if path.is_file():
                yield path.name.encode() + b"\0" + path.read_bytes()

    def build(self, scratch: Path, result: Path, suite: str | None, progress: Progress) -> dict[str, str]:
        """See Recipe."""
        progress(f"guest {self.name}: fetching the kernel")
        tools_root = scratch / "tools"
        extract_packages(_KERNEL, suite, tools_root)
        tools = ForeignRoot(tools_root)
        version, bzimage = find_kernel(tools_root)
        (result / "vmlinux").write_bytes(extract_vmlinux(bzimage, tools, scratch))
        (result / "initramfs").write_bytes(_initramfs(tools, version))
        progress(f"guest {self.name}: installing {len(_COMMON) + len(self.packages)} packages (about 2 minutes)")
        root = scratch / "root"
        origin = install_packages((*_COMMON, *self.packages), suite, root, self._hooks())
        self._configure(root)
        progress(f"guest {self.name}: writing the disk")
        write_file_system(root, result / "disk.raw", DISK_MEGABYTES, LABEL)
        return {"suite": origin, "kernel": version}

    def _hooks(self) -> tuple[str, ...]:
        """Shell commands of the build, run with the new root in $1."""
        user = f"chroot \"$1\" useradd --create-home --shell /bin/bash --groups sudo --password '{_PASSWORD}' fedora"
        masks = f'chroot "$1" systemctl --quiet mask {" ".join(_MASKED)}'
        return user, masks, f'chroot "$1" systemctl --quiet enable {" ".join(self.units)}'

    def _configure(self, root: Path) -> None:
        """Lay our files over the root, and take away what is a machine's own or differs from build to build."""
        for tree in ("common", self.name):
            for source in sorted((FILES / tree).rglob("*")):
                if source.is_file():
                    target = root / source.relative_to(FILES / tree)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(source.read_bytes())
                    target.chmod(0o440 if "sudoers.d" in source.parts else 0o644)
        for leftover in _LEFTOVERS:
            (root / leftover).unlink(missing_ok=True)
        for pattern in ("etc/ssh/ssh_host_*", "var/log/**/*", "var/cache/apt/*.bin", "var/lib/apt/lists/*_*"):
            for path in root.glob(pattern):
                if path.is_file():
                    path.unlink()
        # Empty means: a new one at boot, and yet no "first boot", at which systemd would set every unit anew.
        (root / "etc/machine-id").write_text("", encoding="ascii")
        (root / "etc/hostname").write_text("localhost\n", encoding="ascii")
        if self.resolv_conf is not None:
            (root / "etc/resolv.conf").symlink_to(self.resolv_conf)


NETWORKD = Debian(
    "networkd",
    ("systemd-resolved",),
    ("systemd-networkd", "systemd-resolved"),
    "../run/systemd/resolve/stub-resolv.conf",
)
NETWORK_MANAGER = Debian("networkmanager", ("network-manager",), ("NetworkManager",))


def _initramfs(root: ForeignRoot, version: str) -> bytes:
    archive = Archive()
    for path in ("/dev", "/proc", "/sys", "/root"):
        archive.add_directory(path)
    archive.add_file("/bin/busybox", root.find("busybox").read_bytes(), 0o755)
    archive.add_file("/init", (FILES / "init").read_bytes(), 0o755)
    files = module_order(root.directory, version, _MODULES)
    modules = [path.name.split(".ko")[0] for path in files]
    archive.add_file("/lib/modules/at-boot", "".join(f"{module}\n" for module in modules))
    for file, module in zip(files, modules, strict=True):
        archive.add_file(f"/lib/modules/{module}.ko", read_module(file))
    return bytes(archive)

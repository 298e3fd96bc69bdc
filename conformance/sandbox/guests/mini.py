"""Puts the mini guest's initramfs together from an unpacked root and the files next to this module."""

from collections.abc import Iterator
from pathlib import Path

from conformance.sandbox.guests.cpio import Archive
from conformance.sandbox.guests.kernel import extract_vmlinux, find_kernel, module_order, read_module
from conformance.sandbox.guests.packages import ForeignRoot, Progress, extract_packages

PACKAGES = (
    "busybox-static",
    "dash",
    "dhcpcd-base",
    "dropbear-bin",
    "ethtool",
    "iproute2",
    "iputils-ping",
    "linux-image-cloud-amd64",
    "lua-yaml",
    "lua5.4",
    "lz4",
    "socat",
    "zstd",
)
"""lz4 and zstd only unpack the kernel; everything else goes into the guest."""

FILES = Path(__file__).parent / "mini"
PASSWORDS = {"fedora": "fedora"}
"""Users that may log in with a password, as on the Fedora test image; root logs in with a key only."""

_PROGRAMS = (
    "dash",
    "dhcpcd",
    "dropbear",
    "dropbearconvert",
    "dropbearkey",
    "ethtool",
    "ip",
    "lua5.4",
    "ping",
    "socat",
    "ss",
)
_AT_BOOT = ("virtio_pci", "virtio_blk", "virtio_net")
_FOR_ISO = ("isofs", "cdrom")
_LATER = ("button", "evdev")
_SCRIPTS = {
    "init": "/init",
    "network": "/usr/lib/mini/network",
    "ifup": "/usr/lib/mini/ifup",
    "resolv": "/usr/lib/mini/resolv",
    "acpi": "/usr/lib/mini/acpi",
    "final": "/usr/lib/mini/final",
    "sshd": "/usr/lib/mini/sshd",
    "dhcpcd-run-hooks": "/usr/lib/dhcpcd/dhcpcd-run-hooks",
    "nohup": "/usr/bin/nohup",
    "sudo": "/usr/bin/sudo",
}
_DATA = {
    "inittab": "/etc/inittab",
    "dhcpcd.conf": "/etc/dhcpcd.conf",
    "profile": "/etc/profile",
    "nocloud.lua": "/usr/lib/mini/nocloud.lua",
}
_EMPTY = ("/dev", "/proc", "/sys", "/run", "/seed", "/mnt", "/var/log", "/var/lib/dhcpcd", "/etc/dropbear", "/home")
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"


class Mini:
    """The recipe."""

    name = "mini"
    boots_disk = False
    kernel_arguments = (
        "console=ttyS0",
        "quiet",
        "mitigations=off",
        "tsc=reliable",
        "no_timer_check",
        "nokaslr",
        "cryptomgr.notests",
        "panic=-1",
        "random.trust_cpu=on",
        "net.ifnames=0",
    )
    """Everything but the console is there to boot quickly under emulation: the tests of the kernel's ciphers, of which
    it uses none, took 0.7 s of 1.8 s.
    """

    def ingredients(self) -> Iterator[bytes]:
        """See Recipe."""
        yield " ".join(PACKAGES).encode()
        for path in (Path(__file__), *sorted(FILES.iterdir())):
            yield path.name.encode() + b"\0" + path.read_bytes()

    def build(self, scratch: Path, result: Path, suite: str | None, progress: Progress) -> dict[str, str]:
        """See Recipe."""
        progress("guest mini: fetching packages")
        root = scratch / "root"
        origin = extract_packages(PACKAGES, suite, root)
        tools = ForeignRoot(root)
        version, bzimage = find_kernel(root)
        progress(f"guest mini: unpacking kernel {version}")
        (result / "vmlinux").write_bytes(extract_vmlinux(bzimage, tools, scratch))
        progress("guest mini: writing the initramfs")
        (result / "initramfs").write_bytes(build_initramfs(tools, version))
        return {"suite": origin, "kernel": version}


MINI = Mini()


def build_initramfs(root: ForeignRoot, kernel_version: str) -> bytes:
    """The initramfs as an uncompressed cpio archive (about 17 MB)."""
    archive = Archive()
    for path in _EMPTY:
        archive.add_directory(path)
    archive.add_directory("/tmp", 0o1777)
    archive.add_directory("/root", 0o700)
    archive.add_directory("/root/.ssh", 0o700)
    archive.add_file("/root/.ssh/authorized_keys", "", 0o600)
    archive.add_link("/var/run", "/run")
    _add_scripts(archive)
    _add_accounts(archive, root)
    _add_programs(archive, root)
    _add_lua(archive, root)
    _add_modules(archive, root.directory, kernel_version)
    _add_busybox(archive, root)
    return bytes(archive)


def _add_scripts(archive: Archive) -> None:
    for name, path in _SCRIPTS.items():
        archive.add_file(path, (FILES / name).read_bytes(), 0o755)
    for name, path in _DATA.items():
        archive.add_file(path, (FILES / name).read_bytes())


def _add_accounts(archive: Archive, root: ForeignRoot) -> None:
    """Every user is another name of uid 0; dhcpcd wants a user of its own."""
    lines = ["root:*:0:0::/root:/bin/dash"]
    for user, password in PASSWORDS.items():
        digest = root.run("hashing a password", "busybox", "mkpasswd", "-m", "md5", "-S", "minimini", password).strip()
        lines.append(f"{user}:{digest}:0:0::/root:/bin/dash")
    lines.append("dhcpcd:*:100:100::/var/lib/dhcpcd:/bin/false")
    archive.add_file("/etc/passwd", "\n".join(lines) + "\n")
    archive.add_file("/etc/group", "root:x:0:\ntty:x:5:\ndhcpcd:x:100:\n")
    archive.add_file("/etc/shells", "/bin/sh\n/bin/dash\n")
    archive.add_file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    archive.add_file("/etc/resolv.conf", "")
    archive.add_file("/etc/issue", "\n")


def _add_programs(archive: Archive, root: ForeignRoot) -> None:
    """Programs and the libraries they name; the loader stays where the programs expect it."""
    for name in _PROGRAMS:
        _add_with_libraries(archive, root, root.find(name), f"/usr/bin/{name}")
    loader = root.find("ld-linux-x86-64.so.2", "lib64", "usr/lib64", "lib/x86_64-linux-gnu")
    archive.add_file("/lib64/ld-linux-x86-64.so.2", loader.read_bytes(), 0o755)
    archive.add_link("/bin/dash", "/usr/bin/dash")
    archive.add_link("/bin/sh", "/usr/bin/dash")
    archive.add_directory("/usr/lib/x86_64-linux-gnu/dhcpcd/dev")


def _add_with_libraries(archive: Archive, root: ForeignRoot, source: Path, target: str) -> None:
    archive.add_file(target, source.read_bytes(), 0o755)
    for name, library in root.libraries(source).items():
        if f"{_LIBRARIES}/{name}" not in archive:
            archive.add_file(f"{_LIBRARIES}/{name}", library.read_bytes(), 0o755)


def _add_lua(archive: Archive, root: ForeignRoot) -> None:
    """The YAML reader of the NoCloud script: Lua files and one shared object."""
    for source in sorted((root.directory / "usr/share/lua/5.4/lyaml").glob("*.lua")):
        archive.add_file(f"/usr/share/lua/5.4/lyaml/{source.name}", source.read_bytes())
    binding = root.find("yaml.so", "usr/lib/x86_64-linux-gnu/lua/5.4")
    _add_with_libraries(archive, root, binding, f"{_LIBRARIES}/lua/5.4/yaml.so")


def _add_modules(archive: Archive, root: Path, version: str) -> None:
    """Kernel modules, flat under /lib/modules, and the lists that say in which order to insert them."""
    for listing, names in (("at-boot", _AT_BOOT), ("for-iso", _FOR_ISO), ("later", _LATER)):
        files = module_order(root, version, names)
        modules = [path.name.split(".ko")[0] for path in files]
        archive.add_file(f"/lib/modules/{listing}", "".join(f"{module}\n" for module in modules))
        for path, module in zip(files, modules, strict=True):
            archive.add_file(f"/lib/modules/{module}.ko", read_module(path))


def _add_busybox(archive: Archive, root: ForeignRoot) -> None:
    """Busybox fills in every command that no package provides."""
    archive.add_file("/bin/busybox", root.find("busybox").read_bytes(), 0o755)
    for applet in root.run("listing busybox", "busybox", "--list").split():
        if applet != "busybox" and f"/usr/bin/{applet}" not in archive:
            archive.add_link(f"/bin/{applet}", "/bin/busybox")
    archive.add_link("/sbin/init", "/bin/busybox")
    archive.add_link("/sbin/getty", "/bin/busybox")
    archive.add_link("/sbin/poweroff", "/bin/busybox")

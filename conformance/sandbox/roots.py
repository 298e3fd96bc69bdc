"""The node root: one Debian trixie file system, built once from packages and kept in the cache.

It is the base layer of every container image and of both nodes: QEMU, libvirt, passt, the reference CNI plugins, Python
and the usual network tools. Where the packages come from is the machine's own apt configuration; which ones, and what
is left out, is the recipe below, whose digest names the directory.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RootError", "debian_sources", "ensure_node_root", "node_root"]

Progress = Callable[[str, float], None]

RECIPE_VERSION = 1
SUITE = "trixie"
NEEDED_BYTES = 2 * 1024**3

PACKAGES = (
    "qemu-system-x86",
    "qemu-utils",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "passt",
    "dnsmasq-base",
    "nftables",
    "tini",
    "iproute2",
    "iputils-ping",
    "socat",
    "python3-minimal",
    "python3-grpcio",
    "python3-dpkt",
    "containernetworking-plugins",
    "procps",
    "tcpdump",
    "ethtool",
    "netbase",
)

_OPTIONS = (
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/lintian/*",
    '--aptopt=Acquire::Languages "none"',
)

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# libvirt asks QEMU what it can do when it first meets it, and remembers the answer in /var/cache/libvirt. Asked here
# once, without /dev/kvm as in a launcher pod, so that no virtual machine has to wait for it.
_PROBE = """
set -e
cd "$1"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/net/tun c 10 200
printf '%s\\n' 'security_driver = "none"' 'user = "root"' 'group = "root"' 'namespaces = []' \\
  'cgroup_controllers = []' > run/q.conf
mount --bind run/q.conf etc/libvirt/qemu.conf
chroot . /bin/sh -c 'libvirtd --daemon --timeout 5; exec virsh --connect qemu:///system domcapabilities \\
  --virttype qemu --machine q35' > /dev/null
"""

# What mmdebstrap says on its way, and how far it is then, as measured.
_STAGES = (
    ("running apt-get update", 0.03),
    ("downloading packages with apt", 0.10),
    ("extracting archives", 0.30),
    ("installing essential packages", 0.38),
    ("installing remaining packages", 0.50),
    ("cleaning package lists", 0.93),
    ("success in", 0.95),
)

_CAUSES = (
    (r"No space left on device", "the disk is full", "free at least 2 GB, or set XDG_CACHE_HOME to a larger disk"),
    (
        r"Temporary failure resolving|Could not (connect|resolve)|Failed to fetch|Connection failed|Unable to connect",
        "the package mirror cannot be reached",
        "check the network and `apt-get update`",
    ),
    (
        r"NO_PUBKEY|not signed|signatures couldn't be verified",
        f"the mirror's signature for {SUITE} cannot be checked",
        "install a current debian-archive-keyring",
    ),
    (r"Unable to locate package|has no installation candidate", "the mirror lacks a package", "use a complete mirror"),
)


class RootError(Exception):
    """The node root cannot be built: why, what helps, and the last words of the tool that built it."""

    def __init__(self, reason: str, fix: str, output: str = "") -> None:
        self.reason = reason
        self.fix = fix
        self.output = output
        super().__init__(f"the node root cannot be built: {reason}; {fix}" + (f"\n{output}" if output else ""))


@dataclass(frozen=True)
class Source:
    """One package source: the repository's address and the suite in it."""

    uri: str
    suite: str

    def line(self) -> str:
        """The source as a line of sources.list."""
        signed = f" [signed-by={_KEYRING}]" if _KEYRING.exists() else ""
        return f"deb{signed} {self.uri} {self.suite} main"


def recipe_digest() -> str:
    """What names the built root: a change of recipe gives another directory."""
    recipe = json.dumps([RECIPE_VERSION, SUITE, PACKAGES, _OPTIONS, _PROBE, os.uname().machine])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def node_root(cache: Path) -> Path | None:
    """The built root in the cache, None if there is none."""
    root = cache / "roots" / recipe_digest()
    return root if root.is_dir() else None


def ensure_node_root(cache: Path, progress: Progress) -> Path:
    """The node root, built if the cache lacks it (about 40 s and 400 MB); concurrent callers wait for one build.

    Calls `progress("root", fraction)` on the way. Raises RootError; nothing half-built stays behind.
    """
    existing = node_root(cache)
    if existing is not None:
        return existing
    roots = cache / "roots"
    try:
        roots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RootError(
            f"{roots}: {error.strerror}", "set XDG_CACHE_HOME to a directory that can be written"
        ) from error
    with _locked(roots / f"{recipe_digest()}.lock"):
        # Another process may have built it while we waited for the lock.
        return node_root(cache) or _build(roots, progress)


def debian_sources() -> list[Source]:
    """Where the machine's own apt gets Debian from: the main repository, and the security one if it has that.

    Raises RootError when apt is missing or configured with no Debian repository.
    """
    fields = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(CREATED_BY)"
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", fields], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RootError("apt-get does not answer", "use a Debian machine, or name a ready root") from error
    return sources_from_targets(listed)


def sources_from_targets(listed: str) -> list[Source]:
    """The sources in what `apt-get indextargets` lists, one a line: URI|release|component|origin|creator."""
    main = updates = security = None
    for line in listed.splitlines():
        uri, release, component, origin, creator = line.split("|")
        # A field that apt does not know stays as it was written: nothing has been downloaded from there yet.
        if creator != "Packages" or component != "main" or origin not in ("Debian", "", "$(ORIGIN)"):
            continue
        if release.endswith("-security"):
            security = security or uri
        elif release.endswith("-updates"):
            updates = updates or uri
        elif "-" not in release:
            main = main or uri
    if main is None:
        raise RootError("apt is configured with no Debian repository", "add one to /etc/apt, then run `apt-get update`")
    wanted = ((main, SUITE), (updates, f"{SUITE}-updates"), (security, f"{SUITE}-security"))
    return [Source(uri, suite) for uri, suite in wanted if uri is not None]


def _build(roots: Path, progress: Progress) -> Path:
    for leftover in roots.glob(f"{recipe_digest()}.building-*"):
        shutil.rmtree(leftover)
    free = shutil.disk_usage(roots).free
    if free < NEEDED_BYTES:
        raise RootError(f"{roots} has {free >> 20} MB free, 2048 are needed", "free some, or set XDG_CACHE_HOME")
    building = Path(tempfile.mkdtemp(prefix=f"{recipe_digest()}.building-", dir=roots))
    try:
        root = building / "root"
        progress("root", 0.0)
        _run_mmdebstrap(root, debian_sources(), progress)
        _probe_libvirt(root)
        target = roots / recipe_digest()
        root.rename(target)
        progress("root", 1.0)
        return target
    except OSError as error:
        raise RootError(f"{error.filename or roots}: {error.strerror}", "see the cause") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _run_mmdebstrap(root: Path, sources: list[Source], progress: Progress) -> None:
    command = [
        *_isolated(),
        *("mmdebstrap", "--mode=root", *_OPTIONS, f"--include={','.join(PACKAGES)}", SUITE, str(root)),
        *(source.line() for source in sources),
    ]
    if shutil.which("mmdebstrap") is None:
        raise RootError("mmdebstrap is not installed", "run `apt-get install mmdebstrap`")
    output: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                output.append(line)
                for words, fraction in _STAGES:
                    if words in line:
                        progress("root", fraction)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _explain("".join(output[-25:]))


def _probe_libvirt(root: Path) -> None:
    # Only a saving of time: a machine where it fails pays the second at the first virtual machine instead.
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(
            [*_isolated("--net"), "/bin/sh", "-c", _PROBE, "probe", str(root)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )


def _isolated(*namespaces: str) -> tuple[str, ...]:
    # mmdebstrap mounts /proc and more in the tree that it builds: never where anybody else can see, or inherit, them.
    return ("unshare", "--mount", "--pid", *namespaces, "--fork", "--kill-child", "--propagation", "private", "--")


def _explain(output: str) -> RootError:
    for pattern, reason, fix in _CAUSES:
        if re.search(pattern, output):
            return RootError(reason, fix, output)
    return RootError("mmdebstrap failed", "see its output", output)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""A guest image and the cache it is built into."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conformance.sandbox.guests import mini
from conformance.sandbox.guests.kernel import extract_vmlinux, find_kernel
from conformance.sandbox.guests.packages import ForeignRoot, extract_packages

KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "quiet",
    "mitigations=off",
    "tsc=reliable",
    "no_timer_check",
    "nokaslr",
    "panic=-1",
    "random.trust_cpu=on",
    "net.ifnames=0",
)
"""The kernel command line; everything but the console is there to boot quickly under emulation."""

_RECIPE_FILES = ("mini.py", "kernel.py", "cpio.py", "image.py")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class GuestImage:
    """A guest that QEMU boots directly. `directory` holds `vmlinux`, `initramfs` and `manifest.json`."""

    name: str
    digest: str
    directory: Path
    kernel_arguments: tuple[str, ...] = KERNEL_ARGUMENTS

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinux"

    @property
    def initramfs(self) -> Path:
        return self.directory / "initramfs"


def guest_digest(name: str, suite: str | None) -> str:
    """The cache key: a hash over the recipe, the files that go into the image and the suite (64 hexadecimal digits)."""
    digest = hashlib.sha256(f"{name}\0{suite or 'host'}\0{' '.join(mini.PACKAGES)}".encode())
    here = Path(__file__).parent
    for path in (*(here / file for file in _RECIPE_FILES), *sorted(mini.FILES.iterdir())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def ensure_guest(cache: Path, progress: Progress, name: str = "mini", suite: str | None = None) -> GuestImage:
    """The guest image called `name`, from the cache or built now (about 10 s, mostly downloading packages).

    `cache` is the directory that holds one directory a digest. `suite` is the release to take packages from (default:
    that of the host); `progress` is told in one line each what happens. Several processes may ask at once: one builds.
    Raises GuestBuildError, and ValueError for an unknown name; no half-built image is ever visible.
    """
    if name != "mini":
        raise ValueError(f"unknown guest image {name!r}; known: mini")
    digest = guest_digest(name, suite)
    image = GuestImage(name, digest, cache / digest)
    if image.directory.is_dir():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{digest[:16]}.lock"):
        if not image.directory.is_dir():
            _build(image, suite, progress)
    return image


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build(image: GuestImage, suite: str | None, progress: Progress) -> None:
    """Build in a directory beside the final one, then rename: the rename is what makes the image exist."""
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=image.directory.parent))
    try:
        progress(f"guest {image.name}: fetching packages")
        root = scratch / "root"
        origin = extract_packages(mini.PACKAGES, suite, root)
        tools = ForeignRoot(root)
        version, bzimage = find_kernel(root)
        progress(f"guest {image.name}: unpacking kernel {version}")
        result = scratch / "image"
        result.mkdir()
        (result / "vmlinux").write_bytes(extract_vmlinux(bzimage, tools, scratch))
        progress(f"guest {image.name}: writing the initramfs")
        (result / "initramfs").write_bytes(mini.build_initramfs(tools, version))
        manifest = {"name": image.name, "digest": image.digest, "suite": origin, "kernel": version}
        (result / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        result.rename(image.directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

"""A guest image and the cache it is built into."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conformance.sandbox.guests.debian import NETWORK_MANAGER, NETWORKD
from conformance.sandbox.guests.mini import MINI
from conformance.sandbox.guests.packages import Progress
from conformance.sandbox.guests.recipe import Recipe

_RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (MINI, NETWORKD, NETWORK_MANAGER)}
_SHARED_FILES = ("kernel.py", "cpio.py", "packages.py", "image.py")

GUEST_NAMES = tuple(_RECIPES)
"""The guests that can be built here."""

DiskFormat = Literal["raw", "qcow2"]


@dataclass(frozen=True)
class Disk:
    """The file that a guest's root disk lies over; nothing ever writes to it."""

    path: Path
    format: DiskFormat


@dataclass(frozen=True)
class GuestImage:
    """What a VM boots: a kernel and an initramfs directly, a disk, or (where built here) kernel, initramfs and disk.

    `directory` holds what was built: `vmlinux`, `initramfs`, maybe `disk.raw`, `manifest.json`. A user's own disk has
    none of these, and boots by its own boot loader.
    """

    name: str
    digest: str
    directory: Path
    kernel_arguments: tuple[str, ...] = ()
    disk: Disk | None = None

    @property
    def kernel(self) -> Path | None:
        return self.directory / "vmlinux" if self.kernel_arguments else None

    @property
    def initramfs(self) -> Path | None:
        return self.directory / "initramfs" if self.kernel_arguments else None


def guest_digest(name: str, suite: str | None) -> str:
    """The cache key: a hash over the recipe, the files that go into the image and the suite (64 hexadecimal digits)."""
    digest = hashlib.sha256(f"{name}\0{suite or 'host'}".encode())
    here = Path(__file__).parent
    shared = (name.encode() + b"\0" + (here / name).read_bytes() for name in _SHARED_FILES)
    for part in (*shared, *_recipe(name).ingredients()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def ensure_guest(cache: Path, progress: Progress, name: str = "mini", suite: str | None = None) -> GuestImage:
    """The guest image called `name`, from the cache or built now (mini: 10 s, the Debian guests: one or two minutes).

    `cache` is the directory that holds one directory a digest. `suite` is the release to take packages from (default:
    that of the host); `progress` is told in one line each what happens. Several processes may ask at once: one builds.
    Raises GuestBuildError, and ValueError for an unknown name; no half-built image is ever visible.
    """
    recipe, digest = _recipe(name), guest_digest(name, suite)
    directory = cache / digest
    disk = Disk(directory / "disk.raw", "raw") if recipe.boots_disk else None
    image = GuestImage(name, digest, directory, recipe.kernel_arguments, disk)
    if image.directory.is_dir():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{digest[:16]}.lock"):
        if not image.directory.is_dir():
            _build(image, recipe, suite, progress)
    return image


def _recipe(name: str) -> Recipe:
    if name not in _RECIPES:
        raise ValueError(f"unknown guest image {name!r}; known: {', '.join(GUEST_NAMES)}")
    return _RECIPES[name]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build(image: GuestImage, recipe: Recipe, suite: str | None, progress: Progress) -> None:
    """Build in a directory beside the final one, then rename: the rename is what makes the image exist."""
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=image.directory.parent))
    try:
        result = scratch / "image"
        result.mkdir()
        facts = recipe.build(scratch, result, suite, progress)
        manifest = {"name": image.name, "digest": image.digest, **facts}
        (result / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        result.rename(image.directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

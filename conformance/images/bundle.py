"""Images and manifests in one directory, for places without a registry; and into a registry of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from conformance.host.engine import Engine
from conformance.host.tool import ToolFailed
from conformance.images.lock import LockedImage, LockedManifest
from conformance.images.manifests import Manifests
from conformance.kube.outcome import EnvironmentFault

Progress = Callable[[str], None]

ARCHIVE, MANIFESTS, LOCK = "images.tar", "manifests", "images.lock"


class ImageUnavailable(EnvironmentFault):
    """An image cannot be had: the message names it, what the registry said, and what helps."""


class BundleUnfit(EnvironmentFault):
    """A directory that is no bundle."""


def obtain(engine: Engine, images: Sequence[LockedImage], progress: Progress) -> None:
    """Have the engine hold every image under its plain name, pulled by digest where that is locked."""
    for image in images:
        if engine.has(image.reference):
            if image.reference != image.name:
                engine.tag(image.reference, image.name)
            continue
        progress(f"pulling {image.reference}")
        try:
            engine.pull(image.reference)
        except ToolFailed as error:
            raise ImageUnavailable(
                f"{image.reference} cannot be pulled: {error.output.strip()}\n"
                "    fix: allow the registry, pull through a mirror, or bring a bundle (`images save`)"
            ) from error
        if image.reference != image.name:
            engine.tag(image.reference, image.name)


def save(
    directory: Path,
    engine: Engine,
    images: Sequence[LockedImage],
    manifests: Manifests,
    wanted: Sequence[LockedManifest],
    progress: Progress,
) -> None:
    """Write a bundle: one archive of images, the manifests, and the lock they were made by."""
    (directory / MANIFESTS).mkdir(parents=True, exist_ok=True)
    for manifest in wanted:
        progress(f"keeping {manifest.url}")
        (directory / MANIFESTS / manifest.file).write_bytes(manifests.content(manifest))
    obtain(engine, images, progress)
    progress(f"writing {len(images)} images to {directory / ARCHIVE}")
    engine.save([image.name for image in images], directory / ARCHIVE)
    shutil.copyfile(manifests.lock.path, directory / LOCK)


def archive_of(directory: Path) -> Path:
    """The archive in a bundle. Raises BundleUnfit."""
    archive = directory / ARCHIVE
    if not archive.is_file():
        raise BundleUnfit(
            f"{directory}: no {ARCHIVE} in it; make one with `binding-conformance images save {directory}`"
        )
    return archive


def mirror(engine: Engine, images: Sequence[LockedImage], registry: str, progress: Progress) -> list[str]:
    """Push every image to ``registry`` under its path, as containerd's mirrors look for it; the names there.

    A single platform is pushed, so the digest there is that platform's and not the index's: name images by tag then.
    """
    obtain(engine, images, progress)
    pushed = []
    for image in images:
        target = f"{registry.rstrip('/')}/{image.name.partition('/')[2]}"
        progress(f"pushing {target}")
        engine.tag(image.name, target)
        engine.push(target)
        pushed.append(target)
    return pushed

"""A vendor's images made into images of the nodes; archives are unpacked once, below the cache."""

import fcntl
import shutil
import tempfile
from pathlib import Path

from conformance.model import ImageArtifact
from conformance.oci import open_archive, unpack
from conformance.sandbox.images import Image


def node_image(image: ImageArtifact, cache: Path) -> Image:
    """The image as a node knows it. Raises ImageArchiveError for an archive that cannot be unpacked."""
    content = image.layer or image.rootfs or _unpacked(image, cache)
    return Image(
        image.name,
        (content,),
        image.command,
        dict(image.env),
        args=image.args,
        whole=image.layer is None,
        user=image.user,
        working_directory=image.working_directory,
    )


def _unpacked(image: ImageArtifact, cache: Path) -> Path:
    """The directory with the archive's content, named by its digest; several processes may ask at once."""
    assert image.archive is not None
    cache.mkdir(parents=True, exist_ok=True)
    with open_archive(image.archive, image.name) as archive:
        target = cache / archive.digest.replace(":", "-")
        with (cache / f"{target.name}.lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.is_dir():
                return target
            scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
            try:
                unpack(archive, scratch / "root")
                (scratch / "root").rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target

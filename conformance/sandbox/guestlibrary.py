"""Which guest a VM boots: by its containerDisk's reference, as the image store knows it."""

from collections.abc import Mapping
from pathlib import Path

from conformance.sandbox.guests import (
    GUEST_NAMES,
    DiskImageError,
    GuestBuildError,
    GuestImage,
    disk_guest,
    ensure_guest,
)
from conformance.sandbox.guests.packages import Progress
from conformance.sandbox.images import SUITE_GUEST, ImageStore, normalise
from conformance.sandbox.launcher.disks import container_disk
from conformance.sandbox.launcher.errors import DomainError

DEFAULT = "mini"


class GuestLibrary:
    """The guests behind containerDisks. `cache` holds those that are built."""

    def __init__(self, images: ImageStore, cache: Path, progress: Progress) -> None:
        self.cache = cache
        self._images, self._progress = images, progress

    def prepare(self) -> None:
        """Build the default guest if the cache lacks it."""
        ensure_guest(self.cache, self._progress, DEFAULT)

    def of(self, vmi: Mapping[str, object]) -> GuestImage:
        """The guest of a VMI: that of its first containerDisk, else the default. Raises DomainError."""
        found = container_disk(vmi)
        image = self._images.resolve(found[1]) if found else None
        guest = image.guest if image is not None and image.guest else DEFAULT
        try:
            if guest in GUEST_NAMES:
                return ensure_guest(self.cache, self._progress, guest)
            return disk_guest(Path(guest))
        except (DiskImageError, GuestBuildError, OSError) as error:
            raise DomainError(f"failed to prepare the container disk: {error}") from error

    def disks(self) -> dict[str, Path]:
        """Users' own disk images by digest, those of now."""
        paths = [Path(str(image.guest)) for image in self._images.guests() if image.guest not in GUEST_NAMES]
        return {disk_guest(path).digest: path for path in paths if path.is_file()}


def parse_choice(text: str) -> tuple[str, str]:
    """`[REFERENCE=]GUEST` as reference (or shell pattern of it) and guest: a name, or the absolute path of a disk.

    Without a reference it is for the containerDisk that the checks boot. Raises DiskImageError, or ValueError for a
    bad reference.
    """
    reference, equals, guest = text.rpartition("=")
    if equals and not reference:
        raise ValueError("the reference before `=` is empty; write REFERENCE=GUEST, or the guest alone")
    name = normalise(reference) if equals else SUITE_GUEST
    if guest in GUEST_NAMES:
        return name, guest
    if "/" not in guest and not Path(guest).exists():
        known = ", ".join(GUEST_NAMES)
        raise DiskImageError(
            f"{guest!r} is neither a guest ({known}) nor a disk image here; give the path of a disk image"
        )
    disk = disk_guest(Path(guest).expanduser()).disk
    assert disk is not None
    return name, str(disk.path)

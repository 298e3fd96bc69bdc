"""A user's own disk image as a guest, and what can be wrong with it."""

import hashlib
import struct
from pathlib import Path

from conformance.sandbox.guests.image import Disk, DiskFormat, GuestImage

_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(">4sIQIIQ")
_OTHER_FORMATS = {
    b"KDMV": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"\xfd7zXZ": "xz-compressed",
    b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
}
_SECTOR = 512
_BOOT_SIGNATURE = b"\x55\xaa"


class DiskImageError(ValueError):
    """A file that no VM could boot from; the message names the file, what is wrong and what to do."""


def disk_guest(path: Path) -> GuestImage:
    """The guest in a disk image file (qcow2 or raw), which has to have a boot loader of its own.

    Raises DiskImageError for a file that is missing, empty, truncated, in another format, or depends on another file.
    """
    path = path.absolute()
    return GuestImage(
        path.name, hashlib.sha256(str(path).encode()).hexdigest(), path.parent, (), Disk(path, disk_format(path))
    )


def disk_format(path: Path) -> DiskFormat:
    """The format of a disk image, by its content. Raises DiskImageError."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_SECTOR)
    except FileNotFoundError:
        raise DiskImageError(f"{path}: there is no such file; name a qcow2 or raw disk image") from None
    except OSError as error:
        raise DiskImageError(f"{path}: {error.strerror}; name a qcow2 or raw disk image that can be read") from error
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise DiskImageError(
                f"{path}: this is a {name} file; convert it with `qemu-img convert -O qcow2`, or unpack it"
            )
    if head.startswith(_QCOW2_MAGIC):
        _check_qcow2(path, head)
        return "qcow2"
    if len(head) < _SECTOR or path.stat().st_size % _SECTOR:
        raise DiskImageError(
            f"{path}: {path.stat().st_size} bytes are neither a qcow2 nor a whole raw disk; fetch it again"
        )
    if head[-2:] != _BOOT_SIGNATURE:
        raise DiskImageError(f"{path}: neither a qcow2 nor a raw disk with a boot sector; name a bootable disk image")
    return "raw"


def _check_qcow2(path: Path, head: bytes) -> None:
    if len(head) < _QCOW2_HEADER.size:
        raise DiskImageError(f"{path}: the qcow2 header is cut off; fetch it again")
    _magic, version, backing, _length, _bits, size = _QCOW2_HEADER.unpack(head[: _QCOW2_HEADER.size])
    if version not in (2, 3):
        raise DiskImageError(
            f"{path}: qcow2 version {version} is not known; convert it with `qemu-img convert -O qcow2`"
        )
    if backing:
        raise DiskImageError(f"{path}: it lies over another image; make it whole with `qemu-img convert -O qcow2`")
    if size == 0:
        raise DiskImageError(f"{path}: a disk of size 0; fetch it again")

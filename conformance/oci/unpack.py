"""Unpacks the layers of an image into one directory: whiteouts applied, contents compared with their digests.

A layer is somebody else's: nothing in it may reach outside of the directory, by name or by link. Source: OCI image
specification 1.1, layer.md.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

import zstandard

from conformance.oci.archive import ImageArchive
from conformance.oci.errors import ImageArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_DAMAGED = "it is damaged: write it again"
_HOSTILE = "do not use this image"
_MAGICS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_XATTR = "SCHILY.xattr."
_MAX_LINKS = 40


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def unpack(archive: ImageArchive, directory: Path) -> None:
    """Unpack all layers, lowest first, into `directory`, which is created and must not exist.

    Owners, modes, times and extended attributes are kept. Raises ImageArchiveError for a layer that is damaged, in an
    unknown format, or tries to leave the directory; what was unpacked so far stays for the caller to remove.
    """
    directory.mkdir(parents=True)
    for layer in archive.layers:
        with archive.source.open(layer.name) as packed:
            total = hashlib.sha256()
            stream = io.BufferedReader(_Hashing(_uncompressed(packed, layer.name), total))
            try:
                _Layer(directory, layer.name).apply(stream)
                while stream.read(1 << 20):  # padding after the archive's end belongs to the digest
                    pass
            except (tarfile.TarError, EOFError, zstandard.ZstdError, gzip.BadGzipFile) as error:
                raise ImageArchiveError(f"layer {layer.name} cannot be read ({error})", _DAMAGED) from error
        if f"sha256:{total.hexdigest()}" != layer.diff_id:
            raise ImageArchiveError(
                f"the content of layer {layer.name} has digest sha256:{total.hexdigest()}, not {layer.diff_id}",
                _DAMAGED,
            )


def _uncompressed(packed: IO[bytes], name: str) -> _Readable:
    head = packed.read(4)
    packed.seek(0)
    kind = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "tar")
    if kind == "gzip":
        return gzip.open(packed)
    if kind == "zstd":
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True))
    if head.startswith((b"BZh", b"\xfd7zX")):
        raise ImageArchiveError(f"layer {name} is neither a tar nor compressed by gzip or zstd", _DAMAGED)
    return packed


class _Hashing(io.RawIOBase):
    """A stream that hashes what is read through it."""

    def __init__(self, stream: _Readable, total: _Hash) -> None:
        self._stream, self._total = stream, total

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._total.update(data)
        return len(data)


class _Layer:
    """One layer on its way into the directory."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        self._written: set[str] = set()
        self._directories: list[tuple[Path, tarfile.TarInfo]] = []

    def apply(self, stream: IO[bytes]) -> None:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                self._member(tar, member)
        # a directory's time changes with every file that is put into it
        for path, member in reversed(self._directories):
            os.utime(path, (member.mtime, member.mtime))

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        inside = PurePosixPath(member.name.lstrip("/"))
        if ".." in inside.parts or member.name.startswith("/"):
            raise ImageArchiveError(f"layer {self._name} names {member.name}, outside of the image", _HOSTILE)
        if not inside.parts:
            return
        parent = self._inside(inside.parent)
        if inside.name == _OPAQUE:
            self._hide_lower(parent)
        elif inside.name.startswith(_WHITEOUT):
            self._remove(parent / inside.name.removeprefix(_WHITEOUT))
        else:
            parent.mkdir(parents=True, exist_ok=True)
            self._write(tar, member, parent / inside.name)

    def _inside(self, path: PurePosixPath) -> Path:
        """The directory that a path means in the image: links on the way are followed as a container would."""
        done, rest, links = PurePosixPath("/"), list(path.parts), 0
        while rest:
            part = rest.pop(0)
            if part == "/":
                continue
            candidate = PurePosixPath(os.path.normpath(done / part))
            real = self._root / candidate.relative_to("/")
            if not real.is_symlink():
                done = candidate
                continue
            links += 1
            target = PurePosixPath(os.readlink(real))
            if links > _MAX_LINKS:
                raise ImageArchiveError(f"layer {self._name} has a loop of links at {path}", _HOSTILE)
            done = PurePosixPath("/") if target.is_absolute() else done
            rest = [*target.parts, *rest]
        return self._root / done.relative_to("/")

    def _hide_lower(self, directory: Path) -> None:
        if directory.is_dir():
            for entry in directory.iterdir():
                if str(entry) not in self._written:
                    self._remove(entry)

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if os.path.lexists(path) and not (member.isdir() and path.is_dir() and not path.is_symlink()):
            self._remove(path)
        if member.isdir():
            path.mkdir(exist_ok=True)
            self._directories.append((path, member))
        elif member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            os.link(self._linked(member), path, follow_symlinks=False)
        elif member.isreg():
            content = tar.extractfile(member)
            with path.open("wb") as target:
                shutil.copyfileobj(content or io.BytesIO(), target)
        elif member.ischr() or member.isblk() or member.isfifo():
            self._special(member, path)
        else:
            raise ImageArchiveError(f"{member.name} in layer {self._name} is of an unknown type", _DAMAGED)
        self._written |= {str(path), *map(str, path.parents)}
        if not member.islnk():
            _dress(member, path)

    def _linked(self, member: tarfile.TarInfo) -> Path:
        target = PurePosixPath(member.linkname.lstrip("/"))
        if ".." in target.parts:
            raise ImageArchiveError(f"layer {self._name} links {member.name} to {member.linkname}, outside", _HOSTILE)
        found = self._inside(target.parent) / target.name
        if not os.path.lexists(found):
            raise ImageArchiveError(f"layer {self._name} links {member.name} to {member.linkname}, not there", _DAMAGED)
        return found

    def _special(self, member: tarfile.TarInfo, path: Path) -> None:
        kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        device = 0 if member.isfifo() else os.makedev(member.devmajor, member.devminor)
        os.mknod(path, kind | 0o600, device)


def _dress(member: tarfile.TarInfo, path: Path) -> None:
    """Owner, mode, attributes and time of a file as the layer has them."""
    with contextlib.suppress(PermissionError):
        os.lchown(path, member.uid, member.gid)
    for key, value in member.pax_headers.items():
        if key.startswith(_XATTR):
            with contextlib.suppress(OSError):  # not every file system takes every attribute
                os.setxattr(
                    path, key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"), follow_symlinks=False
                )
    if not member.issym():
        path.chmod(member.mode & 0o7777)
    os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)

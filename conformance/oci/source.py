"""Where the files of an image are: a directory, or a tar archive (compressed or not) that holds the same files."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from conformance.oci.errors import ImageArchiveError

_NO_IMAGE = "give what `docker save` or `skopeo copy ... oci-archive:` wrote, or an OCI layout directory"


class Source(Protocol):
    """Files by name, as the image's own documents give them."""

    def has(self, name: str) -> bool: ...
    def open(self, name: str) -> IO[bytes]:
        """The file's content. Raises ImageArchiveError for one that is missing."""
        ...

    def close(self) -> None: ...


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The files of a directory or archive. Raises ImageArchiveError for anything else."""
    source: Source = _Directory(path) if path.is_dir() else _Tar(path)
    try:
        yield source
    finally:
        source.close()


class _Directory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        path = self._path / name
        # the documents name their blobs: never let them name anything outside
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._path)):
            raise ImageArchiveError(f"it names the file {name} outside of itself", "do not use this image")
        try:
            return path.open("rb")
        except OSError as error:
            raise ImageArchiveError(f"it has no file {name}", "it is incomplete: write it again") from error

    def close(self) -> None:
        pass


class _Tar:
    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.TarFile.open(path)
            self._members = {os.path.normpath(member.name): member for member in self._tar.getmembers()}
        except FileNotFoundError:
            raise ImageArchiveError("there is no such file", f"check the path; {_NO_IMAGE}") from None
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ImageArchiveError(f"this is no tar archive, or a broken one ({error})", _NO_IMAGE) from error

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(os.path.normpath(name))
        try:
            # `docker save` links layers that several images share
            found = None if member is None else self._tar.extractfile(member)
        except (tarfile.TarError, KeyError, OSError) as error:
            raise ImageArchiveError(f"its file {name} cannot be read ({error})", "write it again") from error
        if found is None:
            raise ImageArchiveError(f"it has no file {name}", "it is incomplete: write it again")
        return found

    def close(self) -> None:
        self._tar.close()

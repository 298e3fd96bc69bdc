"""Writes an initramfs: a cpio archive in the "newc" format (kernel documentation, buffer-format)."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class _Entry:
    mode: int
    content: bytes


class Archive:
    """A file tree in memory, all of it owned by root; `bytes()` is the archive. Parents come by themselves."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def add_file(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Add a regular file; `path` is absolute, `mode` its permission bits."""
        data = content.encode() if isinstance(content, str) else content
        self._put(path, _Entry(stat.S_IFREG | mode, data))

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory."""
        self._put(path, _Entry(stat.S_IFDIR | mode, b""))

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link; an existing entry of that path stays."""
        if self._key(path) not in self._entries:
            self._put(path, _Entry(stat.S_IFLNK | 0o777, target.encode()))

    def __contains__(self, path: str) -> bool:
        return self._key(path) in self._entries

    def __bytes__(self) -> bytes:
        return b"".join(self._records())

    @staticmethod
    def _key(path: str) -> str:
        return path.strip("/")

    def _put(self, path: str, entry: _Entry) -> None:
        key = self._key(path)
        for parent in PurePosixPath(key).parents:
            if str(parent) != "." and str(parent) not in self._entries:
                self._entries[str(parent)] = _Entry(stat.S_IFDIR | 0o755, b"")
        self._entries[key] = entry

    def _records(self) -> Iterator[bytes]:
        for inode, (name, entry) in enumerate(sorted(self._entries.items()), start=1):
            yield _record(inode, name, entry)
        yield _record(0, _TRAILER, _Entry(0, b""))


def _record(inode: int, name: str, entry: _Entry) -> bytes:
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    encoded = name.encode() + b"\0"
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + "".join(f"{field:08X}" for field in fields).encode()
    return _padded(header + encoded) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

"""The digest of everything that makes a binding, so that a report says what exactly it is about."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from conformance.model.binding import Artifacts
from conformance.model.jsonvalue import JsonObject

_IGNORED_DIRECTORIES = frozenset({"__pycache__"})
"""Written by an interpreter that runs from the layer; no input."""

_BLOCK = 1 << 20


def digest_of(definition: JsonObject, manifests: Iterable[JsonObject], artifacts: Artifacts) -> str:
    """Return the SHA-256, in hex, of a definition (faults applied), its manifests and the content of its artifacts.

    Paths of this machine do not enter, so the same files give the same digest in another directory. A file enters
    with its path inside the layer, its executable bit and its content; a symbolic link with its target.
    """
    total = hashlib.sha256()
    for part in _parts(definition, manifests, artifacts):
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def _parts(definition: JsonObject, manifests: Iterable[JsonObject], artifacts: Artifacts) -> Iterator[bytes]:
    yield _canonical(definition)
    for manifest in manifests:
        yield _canonical(manifest)
    for image in artifacts.images:
        yield image.name.encode()
        yield from [_file(image.path)] if image.path.is_file() else _tree(image.path)
    for plugin in artifacts.cni_plugins:
        yield plugin.name.encode()
        yield _file(plugin.path)


def _canonical(data: JsonObject) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _tree(root: Path) -> Iterator[bytes]:
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = sorted(set(subdirectories) - _IGNORED_DIRECTORIES)
        links = [name for name in subdirectories if (Path(directory) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(directory) / name
            yield path.relative_to(root).as_posix().encode("utf-8", "surrogateescape")
            yield _file(path)


def _file(path: Path) -> bytes:
    if path.is_symlink():
        return b"link " + os.readlink(os.fsencode(path))
    if not path.is_file():
        return b"special"
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            content.update(block)
    mode = b"executable " if os.access(path, os.X_OK) else b"file "
    return mode + content.digest()

"""The image store: what a node's container runtime would have pulled.

An image is a list of directories laid over the node root, plus the command and environment its registry manifest would
carry. The store is a directory of JSON files, one an image, so that it can be filled from outside the sandbox while it
runs: `<sha256 of the normalised reference>.json`.
"""

import fnmatch
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["BUILT_IN_IMAGES", "Image", "ImageStore", "Mount", "image_id", "normalise"]


@dataclass(frozen=True)
class Mount:
    """One entry of a container's mount table.

    `source` is a path in the supervisor's mount namespace (for a bind mount) or the file system's own source name;
    `destination` is absolute inside the container; `options` are those of mount(8).
    """

    source: str
    destination: str
    read_only: bool = False
    type: str = "bind"
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """An image as a node knows it.

    `layers` are directories, lowest first, laid over the node root, or over nothing when the image is `whole`.
    `command` is its entry point and `args` what follows it; `user` is `uid[:gid]` or names of the image's own. `guest`
    is what boots from it when this is a containerDisk: the name of a guest of the sandbox, or the absolute path of a
    disk image. `privileged` is honoured for built-in images only: it gives the container every capability the sandbox
    itself has, and /dev/net/tun.
    """

    name: str
    layers: tuple[Path, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    guest: str | None = None
    privileged: bool = False
    mounts: tuple[Mount, ...] = ()
    args: tuple[str, ...] = ()
    whole: bool = False
    user: str = ""
    working_directory: str = "/"


_PAUSE = "import signal; signal.sigwait([signal.SIGINT, signal.SIGTERM])"
SUITE_GUEST = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:*"
"""The containerDisk that the checks, and most of KubeVirt's documentation, boot."""

BUILT_IN_IMAGES: tuple[Image, ...] = (
    Image(name=SUITE_GUEST, guest="mini"),
    Image(name="docker.io/library/python:*", command=("/usr/bin/python3",)),
    Image(name="registry.k8s.io/pause*", command=("/usr/bin/python3", "-c", _PAUSE)),
)
"""What any cluster under test would hold; `name` is a shell pattern over the normalised reference."""


def normalise(reference: str) -> str:
    """The full form of an image reference, as container runtimes write it.

    `python:3.13` becomes `docker.io/library/python:3.13`; a missing tag becomes `:latest`; a reference with both a tag
    and a digest keeps the digest only. Raises ValueError for an empty reference or one with white space.
    """
    if not reference or any(character.isspace() for character in reference):
        raise ValueError(f"couldn't parse image name {reference!r}: invalid reference format")
    name, at, digest = reference.partition("@")
    first, slash, _rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    path, colon, tag = name.rpartition(":")
    has_tag = bool(colon) and "/" not in tag
    if at:
        return f"{path if has_tag else name}@{digest}"
    return name if has_tag else f"{name}:latest"


def image_id(reference: str) -> str:
    """The reference by digest that a node reports for an image it runs: `<repository>@sha256:<64 digits>`.

    There is no registry manifest to take a digest of, so it is one of the normalised reference; the store finds the
    image again by it.
    """
    name = normalise(reference)
    if "@" in name:
        return name
    return f"{name.rpartition(':')[0]}@sha256:{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class ImageStore:
    """Images by reference: a directory of JSON files, then the built-in ones."""

    def __init__(self, directory: Path, base: Path) -> None:
        """`directory` holds the JSON files; `base` is the node root that every image lies over."""
        self.directory = directory
        self.base = base
        self._provided: list[Image] = []

    def provide(self, image: Image) -> None:
        """Add an image of the sandbox's own; `name` is a shell pattern, and `privileged` counts."""
        self._provided.append(image)

    def resolve(self, reference: str) -> Image | None:
        """The image that `reference` names, or None when no registry would have it."""
        try:
            name = normalise(reference)
        except ValueError:
            return None
        try:
            document = json.loads(self._file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self._matching(name)
        return _from_document(document)

    def guests(self) -> list[Image]:
        """The containerDisks that were put into the store; their names may be shell patterns."""
        paths = sorted(self.directory.glob("*.json"))
        images = [_from_document(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        return [image for image in images if image.guest]

    def load(self, image: Image) -> None:
        """Put an image into the store, replacing one of the same name.

        Raises FileNotFoundError naming the first layer that is not a directory, ValueError for a bad reference.
        """
        for layer in image.layers:
            if not layer.is_dir():
                raise FileNotFoundError(f"image {image.name}: layer {layer} is not a directory")
        document: dict[str, object] = {
            "name": image.name,
            "layers": [str(layer.resolve()) for layer in image.layers],
            "command": list(image.command),
            "env": dict(image.env),
        }
        optional = ("args", "whole", "user", "working_directory", "guest")
        document |= {name: value for name in optional if (value := getattr(image, name))}
        target = self._file(normalise(image.name))
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        temporary.replace(target)

    def _matching(self, name: str) -> Image | None:
        untagged = name.partition("@")[0] + ":"
        for image in (*self.guests(), *self._provided, *BUILT_IN_IMAGES):
            if fnmatch.fnmatchcase(name, image.name) or fnmatch.fnmatchcase(untagged, image.name):
                return replace(image, name=name)
        return None

    def _file(self, name: str) -> Path:
        _, by_digest, digest = name.partition("@sha256:")
        known = self.directory / f"{digest}.json"
        return known if by_digest and known.exists() else self.directory / f"{_digest(name)}.json"


def _from_document(document: Mapping[str, Any]) -> Image:
    return Image(
        name=document["name"],
        layers=tuple(Path(layer) for layer in document.get("layers", ())),
        command=tuple(document.get("command", ())),
        env=dict(document.get("env", {})),
        guest=document.get("guest"),
        args=tuple(document.get("args", ())),
        whole=document.get("whole", False),
        user=document.get("user", ""),
        working_directory=document.get("working_directory", "/"),
    )


class UnknownUserError(LookupError):
    """An image runs as a user or group that its own tables do not have."""


def user_of(image: Image) -> tuple[int, int]:
    """Uid and gid that the image's processes have unless their pod says otherwise.

    Names are looked up in the image's own /etc/passwd and /etc/group. Raises UnknownUserError.
    """
    user, _, group = image.user.partition(":")
    if not user:
        return 0, 0
    uid, gid = (int(user), 0) if user.isdigit() else _account(image, "passwd", user)
    if group:
        gid = int(group) if group.isdigit() else _account(image, "group", group)[0]
    return uid, gid


def _account(image: Image, table: str, name: str) -> tuple[int, int]:
    """The third field, and the fourth where it is a number, of the line of that name in /etc/<table>."""
    for layer in reversed(image.layers):
        path = layer / "etc" / table
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 3:
                return int(fields[2]), int(fields[3]) if fields[3].isdigit() else 0
    raise UnknownUserError(
        f"unable to find {'user' if table == 'passwd' else 'group'} {name}: no matching entries in {table} file"
    )

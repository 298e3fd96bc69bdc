"""``images.lock``: every image by digest, every third-party manifest by checksum, in one file.

A digest that nobody has seen yet is the word ``unresolved``, never a guess; an image that is built from this project is
``built``. Both are types of their own, so that a run that requires digests can refuse them by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conformance.model import ModelError

RESOLVE = "run `binding-conformance images lock --resolve` where the registries can be reached"
"""How digests come into the lock."""

_SHA256 = r"sha256:[0-9a-f]{64}"


class Part(StrEnum):
    """What an image is a part of."""

    NODE = "node"
    """A node of a kind cluster; its tag is the Kubernetes release."""
    MULTUS = "multus"
    KUBEVIRT = "kubevirt"
    """KubeVirt itself; its tag is the KubeVirt release."""
    UPSTREAM = "upstream"
    """KubeVirt's own conformance suite; its tag is the KubeVirt release."""
    GUEST = "guest"
    SUITE = "suite"
    """Client pods, the node observer, the suite in the cluster."""
    BINDING = "binding"
    """A bundled binding."""


class State(StrEnum):
    """Why there is no digest."""

    UNRESOLVED = "unresolved"
    """No registry has been asked yet."""
    BUILT = "built"
    """No registry has it: it is built from this project."""


class LockError(ModelError):
    """A lock that cannot be read, or that does not hold what is asked for; the message names the file and the fix."""


class Unresolved(ModelError):
    """Something is used that has to be locked and is not yet; ``names`` are the references."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.names = tuple(names)
        listed = "\n".join(f"  {name}" for name in self.names)
        super().__init__(f"{path}: not locked by digest yet:\n{listed}\n    fix: {RESOLVE}")


@dataclass(frozen=True)
class LockedImage:
    """One image. ``digest`` is ``sha256:...`` or the State that says why there is none; ``version`` is the Kubernetes
    or KubeVirt release it belongs to, empty where it fits all.
    """

    repository: str
    tag: str
    digest: str
    use: str
    part: Part
    version: str = ""

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def reference(self) -> str:
        """What a manifest has to say: the name, with the digest where it is known."""
        return self.name if self.digest in set(State) else f"{self.name}@{self.digest}"

    @property
    def resolved(self) -> bool:
        """Whether it is what it says, whoever serves it."""
        return self.digest != State.UNRESOLVED

    @property
    def built(self) -> bool:
        """Whether it comes from this project, and from no registry."""
        return self.digest == State.BUILT


@dataclass(frozen=True)
class LockedManifest:
    """A third party's manifest: its file name, where it is published, and the SHA-256 of its bytes (hexadecimal), or
    ``unresolved``.
    """

    name: str
    version: str
    url: str
    sha256: str

    @property
    def resolved(self) -> bool:
        return self.sha256 != State.UNRESOLVED

    @property
    def file(self) -> str:
        """Its path in a directory of manifests."""
        return f"{self.name}-{self.version}.yaml"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _ImageFile(_File):
    repository: Annotated[str, Field(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$")]
    part: Annotated[Part, Field(strict=False)]
    use: str
    tags: dict[str, Annotated[str, Field(pattern=f"^({_SHA256}|unresolved|built)$")]]


class _ManifestFile(_File):
    name: str
    url: Annotated[str, Field(pattern=r"^https://.*\{version\}.*$")]
    versions: dict[str, Annotated[str, Field(pattern="^([0-9a-f]{64}|unresolved)$")]]


class _LockFile(_File):
    api_version: Annotated[Literal["binding-conformance/v1alpha1"], Field(alias="apiVersion")]
    kind: Literal["ImagesLock"]
    images: list[_ImageFile]
    manifests: list[_ManifestFile]


_BY_RELEASE = frozenset({Part.NODE, Part.KUBEVIRT, Part.UPSTREAM})


class ImagesLock:
    """The lock in one file."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises LockError."""
        self.path = path
        file = _read(path)
        self.images = tuple(_images(file))
        self.manifests = tuple(
            LockedManifest(m.name, version, m.url.replace("{version}", version), checksum)
            for m in file.manifests
            for version, checksum in m.versions.items()
        )

    def image(self, repository: str, tag: str = "") -> LockedImage:
        """The image of a repository; ``tag`` tells several apart. Raises LockError when it is not exactly one."""
        found = [i for i in self.images if i.repository == repository and tag in ("", i.tag)]
        if len(found) != 1:
            tags = ", ".join(i.tag for i in self.images if i.repository == repository) or "none"
            wanted = f"{repository}:{tag}" if tag else repository
            raise LockError(f"{self.path}: {len(found)} images are {wanted} (tags there: {tags})")
        return found[0]

    def manifest(self, name: str, version: str) -> LockedManifest:
        """The manifest of that name and release. Raises LockError with the releases there are."""
        for found in self.manifests:
            if (found.name, found.version) == (name, version):
                return found
        known = ", ".join(m.version for m in self.manifests if m.name == name) or "none"
        raise LockError(f"{self.path}: no {name} {version} is locked (releases there: {known})")

    def releases(self, part: Part) -> tuple[str, ...]:
        """The releases there are images of, in the file's order (oldest first)."""
        return tuple(dict.fromkeys(i.version for i in self.images if i.part is part))

    def release(self, part: Part, wanted: str) -> str:
        """The release that ``wanted`` (``v1.9``, ``1.9.0``, empty for the newest) means. Raises LockError."""
        known = self.releases(part)
        if not wanted:
            return known[-1]
        name = "v" + wanted.removeprefix("v")
        matching = [release for release in known if release == name or release.startswith(f"{name}.")]
        if not matching:
            raise LockError(f"{self.path}: no {part.value} {wanted} is locked; there are {', '.join(known)}")
        return matching[-1]

    def needed(
        self, *, kubevirt: str = "", kubernetes: str = "", parts: Iterable[Part] = tuple(Part)
    ) -> tuple[LockedImage, ...]:
        """The images of the parts; of KubeVirt and of the nodes those of one release, where it is given."""
        wanted = set(parts)
        releases = {Part.NODE: kubernetes, Part.KUBEVIRT: kubevirt, Part.UPSTREAM: kubevirt}
        return tuple(i for i in self.images if i.part in wanted and releases.get(i.part, "") in ("", i.version))

    def named(self, text: str) -> tuple[LockedImage, ...]:
        """The images whose names are in a text."""
        return tuple(i for i in self.images if re.search(rf"{re.escape(i.name)}(?![\w.-])", text))

    def require_resolved(self, images: Iterable[LockedImage], manifests: Iterable[LockedManifest] = ()) -> None:
        """Raises Unresolved when one of them has no digest or checksum."""
        if names := _unresolved(images, manifests):
            raise Unresolved(self.path, names)


def remarks(images: Iterable[LockedImage], manifests: Iterable[LockedManifest] = ()) -> Iterator[str]:
    """What to know before these are used: what is taken as its registry has it today, and what no registry has."""
    used = tuple(images)
    if names := _unresolved(used, manifests):
        yield f"no digest is known of {', '.join(names)}: used as served today, unchecked\n    fix: {RESOLVE}"
    if built := [image.name for image in used if image.built]:
        yield (
            f"no registry has {', '.join(built)}, built from this project: the nodes must have it already\n"
            "    fix: load it into the nodes; or push it to a registry of yours, and name that in the manifests"
        )


def _unresolved(images: Iterable[LockedImage], manifests: Iterable[LockedManifest]) -> list[str]:
    return [i.name for i in images if not i.resolved] + [m.url for m in manifests if not m.resolved]


def repository_of(reference: str) -> str:
    """The repository in an image reference, without tag and digest."""
    name = reference.partition("@")[0]
    path, colon, tag = name.rpartition(":")
    return path if colon and "/" not in tag else name


def _images(file: _LockFile) -> Iterator[LockedImage]:
    for image in file.images:
        for tag, digest in image.tags.items():
            version = tag if image.part in _BY_RELEASE else ""
            yield LockedImage(image.repository, tag, digest, image.use, image.part, version)


def _read(path: Path) -> _LockFile:
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _LockFile.model_validate(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LockError(f"{path}: {error}") from error
    except ValidationError as invalid:
        lines = [
            f"  {'.'.join(map(str, e['loc']))}: {e['msg']}: got {str(e['input'])[:80]!r}" for e in invalid.errors()
        ]
        hint = "    fix: a digest is sha256: and 64 hexadecimal digits, `unresolved` or `built`"
        raise LockError("\n".join([f"{path}: no sound lock", *lines, hint])) from invalid


def with_values(text: str, values: dict[tuple[str, ...], str]) -> str:
    """The text of a lock with other digests: ``values`` by path (``images``, repository, tag). Comments stay."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places: list[tuple[int, int, str]] = []
    for section, key, inner in (("images", "repository", "tags"), ("manifests", "name", "versions")):
        for entry in _child(root, section).value:
            for label, digest in _child(entry, inner).value:
                path = (section, str(_child(entry, key).value), str(label.value))
                if path in values:
                    places.append((digest.start_mark.index, digest.end_mark.index, values[path]))
    for start, end, value in sorted(places, reverse=True):
        text = text[:start] + value + text[end:]
    return text


def _child(node: Any, name: str) -> Any:
    return next(value for key, value in node.value if key.value == name)

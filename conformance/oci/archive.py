"""Reads an image in a file: which one of several, for which machine, what it starts, and whether it is whole.

Sources: OCI image specification 1.1 (image-layout.md, manifest.md, config.md); the format of `docker save`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from conformance.oci.errors import ImageArchiveError
from conformance.oci.source import Source, open_source

_BLOCK = 1 << 20
_INCOMPLETE = "it is damaged: write it again"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass(frozen=True)
class ImageConfig:
    """What a container of the image starts with. `user` is as in the image: empty, `uid[:gid]` or names."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_directory: str = "/"


@dataclass(frozen=True)
class Layer:
    """One layer: its file, the digest of the file where the format has one, the digest of what is in it."""

    name: str
    digest: str | None
    diff_id: str


@dataclass(frozen=True)
class ImageArchive:
    """An image of an archive; `digest` (sha256:...) is that of its configuration, which names the layers' content."""

    config: ImageConfig
    layers: tuple[Layer, ...]
    digest: str
    source: Source


@contextmanager
def open_archive(path: Path, reference: str = "") -> Iterator[ImageArchive]:
    """The image in a `docker save` archive, an OCI archive or an OCI layout directory.

    `reference` chooses among several. Documents and layers are checked against their digests. Raises ImageArchiveError
    for a file that is none of these, is damaged, has no such image, or none for this machine's architecture.
    """
    with open_source(path) as source:
        if source.has("index.json"):
            yield _from_layout(source, reference)
        elif source.has("manifest.json"):
            yield _from_docker(source, reference)
        else:
            raise ImageArchiveError(
                "there is neither index.json nor manifest.json in it, so it holds no image",
                "give what `docker save` or `skopeo copy ... oci-archive:` wrote, or an OCI layout directory",
            )


def checked(source: Source, name: str, digest: str) -> IO[bytes]:
    """Open a file after comparing its content with its digest. Raises ImageArchiveError."""
    algorithm, _, wanted = digest.partition(":")
    if algorithm not in ("sha256", "sha512"):
        raise ImageArchiveError(f"the digest {digest} of {name} is of an unknown kind", _INCOMPLETE)
    total = hashlib.new(algorithm)
    with source.open(name) as stream:
        while block := stream.read(_BLOCK):
            total.update(block)
    if total.hexdigest() != wanted:
        raise ImageArchiveError(
            f"{name} should have digest {digest}, it has {algorithm}:{total.hexdigest()}", _INCOMPLETE
        )
    return source.open(name)


def _from_layout(source: Source, reference: str) -> ImageArchive:
    index = _document(source.open("index.json"), "index.json")
    descriptor = _for_this_machine(source, _chosen(index, reference))
    manifest = _blob(source, descriptor)
    if "layers" not in manifest or "config" not in manifest:
        raise ImageArchiveError(f"{descriptor['digest']} is no image manifest", "give an archive of a container image")
    digest = str(manifest["config"]["digest"])
    config = _blob(source, manifest["config"])
    _require_machine(config)
    files: list[tuple[str, str | None]] = [(_blob_name(entry), str(entry["digest"])) for entry in manifest["layers"]]
    return _image(source, config, digest, files)


def _from_docker(source: Source, reference: str) -> ImageArchive:
    listed = _document(source.open("manifest.json"), "manifest.json")
    if not isinstance(listed, list) or not listed:
        raise ImageArchiveError("its manifest.json lists no image", _INCOMPLETE)
    names = {name: entry for entry in listed for name in entry.get("RepoTags") or ()}
    entry = listed[0] if len(listed) == 1 else names.get(reference)
    if entry is None:
        raise _several(reference, list(names))
    with source.open(entry["Config"]) as stream:
        content = stream.read()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    named = os.path.basename(entry["Config"]).removesuffix(".json")
    if len(named) == 64 and named != digest.removeprefix("sha256:"):
        raise ImageArchiveError(f"{entry['Config']} has digest {digest}", _INCOMPLETE)
    config = _parsed(content, entry["Config"])
    _require_machine(config)
    # the format has no digests of these files; what is in them is compared when they are unpacked
    return _image(source, config, digest, [(name, None) for name in entry["Layers"]])


def _image(source: Source, config: Any, digest: str, files: list[tuple[str, str | None]]) -> ImageArchive:
    contents = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(contents) != len(files):
        raise ImageArchiveError(f"it has {len(files)} layers, its configuration names {len(contents)}", _INCOMPLETE)
    for name, expected in files:
        if expected is not None:
            checked(source, name, expected).close()
        else:
            source.open(name).close()
    layers = (Layer(name, file, content) for (name, file), content in zip(files, contents, strict=True))
    return ImageArchive(_settings(config.get("config") or {}), tuple(layers), digest, source)


def _settings(config: Mapping[str, Any]) -> ImageConfig:
    env = dict(str(entry).split("=", 1) for entry in config.get("Env") or () if "=" in str(entry))
    return ImageConfig(
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=env,
        user=str(config.get("User") or ""),
        working_directory=str(config.get("WorkingDir") or "/"),
    )


def _chosen(index: Any, reference: str) -> Any:
    """The descriptor that bears the reference, or the only one."""
    found = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(found, list) or not found:
        raise ImageArchiveError("its index.json lists no image", _INCOMPLETE)
    if len(found) == 1:
        return found[0]
    named = {
        str(name): entry
        for entry in found
        for key in _NAME_ANNOTATIONS
        if (name := (entry.get("annotations") or {}).get(key))
    }
    if reference in named:
        return named[reference]
    if any(entry.get("platform") for entry in found) and not named:
        return _of_platform(found)
    raise _several(reference, list(named))


def _for_this_machine(source: Source, descriptor: Any) -> Any:
    """Follow an index of several platforms to the manifest for this machine."""
    while descriptor.get("mediaType") in _INDEXES:
        entries = _blob(source, descriptor).get("manifests") or []
        descriptor = _of_platform(entries)
    return descriptor


def _of_platform(entries: list[Any]) -> Any:
    platforms = {}
    for entry in entries:
        platform = entry.get("platform") or {}
        platforms[f"{platform.get('os', 'linux')}/{platform.get('architecture', machine())}"] = entry
    wanted = f"linux/{machine()}"
    if wanted not in platforms:
        listed = ", ".join(sorted(platforms)) or "none"
        raise ImageArchiveError(f"it is for {listed}, the nodes are {wanted}", f"write it with --platform {wanted}")
    return platforms[wanted]


def _require_machine(config: Any) -> None:
    has = f"{config.get('os') or 'linux'}/{config.get('architecture') or machine()}"
    if has != f"linux/{machine()}":
        fix = f"build or pull it with --platform linux/{machine()}"
        raise ImageArchiveError(f"it is for {has}, the nodes are linux/{machine()}", fix)


def machine() -> str:
    """This machine's architecture in Go's words."""
    return _ARCHITECTURES.get(os.uname().machine, os.uname().machine)


def _several(reference: str, names: list[str]) -> ImageArchiveError:
    listed = ", ".join(sorted(names)) or "none of them named"
    return ImageArchiveError(
        f"it holds several images ({listed}), none of them {reference or 'chosen'}",
        "name the image as the archive does, or write an archive of that image alone",
    )


def _blob_name(descriptor: Any) -> str:
    algorithm, _, encoded = str(descriptor.get("digest", "")).partition(":")
    if not encoded.isalnum() or not algorithm.isalnum():
        raise ImageArchiveError(f"{descriptor.get('digest')!r} is no digest", _INCOMPLETE)
    return f"blobs/{algorithm}/{encoded}"


def _blob(source: Source, descriptor: Any) -> Any:
    name = _blob_name(descriptor)
    return _document(checked(source, name, str(descriptor["digest"])), name)


def _document(stream: IO[bytes], name: str) -> Any:
    with stream:
        return _parsed(stream.read(), name)


def _parsed(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ImageArchiveError(f"{name} is no JSON ({error})", _INCOMPLETE) from error

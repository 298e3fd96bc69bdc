"""Writes container images into files as the tools of this world do, for tests: docker save, OCI archive, OCI layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import zstandard

Compression = Literal["", "gzip", "zstd"]
_MEDIA = "application/vnd.oci.image"


def layer(entries: Mapping[str, bytes | tarfile.TarInfo], modes: Mapping[str, int] | None = None) -> bytes:
    """A layer's tar: contents by name (a name that ends in / is a directory), or ready-made entries."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode = (modes or {}).get(name, 0o755)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target.getvalue()


def tree(directory: Path) -> bytes:
    """A layer of a directory's files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        tar.add(directory, arcname=".")
    return target.getvalue()


def link(name: str, target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """A symbolic or hard link for a layer."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = (tarfile.LNKTYPE if hard else tarfile.SYMTYPE), target
    return info


def config(layers: Iterable[bytes], architecture: str = "amd64", **settings: Any) -> bytes:
    """The image configuration; `settings` are those of a container (Entrypoint, Cmd, Env, User, WorkingDir)."""
    contents = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]
    rootfs = {"type": "layers", "diff_ids": contents}
    return json.dumps({"os": "linux", "architecture": architecture, "config": settings, "rootfs": rootfs}).encode()


def docker_archive(path: Path, name: str, layers: list[bytes], **settings: Any) -> Path:
    """What `docker save` wrote before it wrote OCI layouts."""
    described = config(layers, **settings)
    identity = hashlib.sha256(described).hexdigest()
    entry = {"Config": f"{identity}.json", "RepoTags": [name], "Layers": [f"{i}/layer.tar" for i in range(len(layers))]}
    files = {"manifest.json": json.dumps([entry]).encode(), f"{identity}.json": described}
    files |= {f"{number}/layer.tar": data for number, data in enumerate(layers)}
    return _archive(path, files)


def oci_files(layers: list[bytes], compression: Compression = "", **settings: Any) -> dict[str, bytes]:
    """The files of an OCI layout by name."""
    described = config(layers, **settings)
    packed = [_compressed(data, compression) for data in layers]
    suffix = f"+{compression}" if compression else ""
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": _descriptor(described, f"{_MEDIA}.config.v1+json"),
        "layers": [_descriptor(data, f"{_MEDIA}.layer.v1.tar{suffix}") for data in packed],
    }
    document = json.dumps(manifest).encode()
    index = {"schemaVersion": 2, "manifests": [_descriptor(document, f"{_MEDIA}.manifest.v1+json")]}
    blobs = {f"blobs/sha256/{hashlib.sha256(data).hexdigest()}": data for data in (described, document, *packed)}
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}


def oci_archive(path: Path, layers: list[bytes], compression: Compression = "", **settings: Any) -> Path:
    """An OCI layout in a tar archive."""
    return _archive(path, oci_files(layers, compression, **settings))


def oci_layout(path: Path, layers: list[bytes], compression: Compression = "", **settings: Any) -> Path:
    """An OCI layout directory."""
    for name, data in oci_files(layers, compression, **settings).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def _archive(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(layer(files))
    return path


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def _compressed(data: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(data)
    return zstandard.ZstdCompressor().compress(data) if compression == "zstd" else data

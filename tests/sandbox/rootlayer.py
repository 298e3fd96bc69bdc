"""Image layers of programs, taken from the node root: an image that lies over nothing has to bring all it runs."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_MERGED = ("bin", "lib", "lib64", "sbin")
"""What Debian has as links into /usr."""

SHELL = ("usr/bin/dash", "usr/bin/cp", "usr/bin/ls", "usr/bin/sleep")
PYTHON = ("usr/bin/python3.13", "usr/lib/python3.13", "usr/lib/python3/dist-packages/grpc")
LINKS = {"usr/bin/sh": "dash", "usr/bin/python3": "python3.13"}


def programs(root: Path, paths: Iterable[str], links: Mapping[str, str]) -> bytes:
    """A layer with these files and directories of the root, the shared libraries that they need, and these links."""
    found = list(paths)
    objects = [name for path in found for name in _objects(root, path)]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in sorted({*found, *_libraries(root, objects)}):
            tar.add((root / name).resolve(), arcname=name)
        for name, where in {**{name: f"usr/{name}" for name in _MERGED}, **links}.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, where
            tar.addfile(info)
    return target.getvalue()


def _objects(root: Path, path: str) -> list[str]:
    """The ELF files at or below a path of the root."""
    top = root / path
    files = [top] if top.is_file() else [file for file in top.rglob("*.so") if file.is_file()]
    return [str(file.relative_to(root)) for file in files if file.open("rb").read(4) == b"\x7fELF"]


def _libraries(root: Path, objects: list[str]) -> set[str]:
    """The shared libraries, loader included, as paths of the root without links to directories."""
    command = ["chroot", str(root), "ldd", *(f"/{name}" for name in objects)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # a line is either the name of an object and a colon, or `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)`
    words = (line.split("=>")[-1].split() for line in told.splitlines() if not line.endswith(":"))
    named = {found[0].lstrip("/") for found in words if found and found[0].startswith("/")}
    return {name if name.startswith("usr/") else f"usr/{name}" for name in named}

"""The kernel of a guest: the uncompressed ELF inside a distribution's bzImage, and the modules it needs.

QEMU starts an ELF kernel by its PVH entry point. Under emulation this saves the self-extraction: about two seconds.
"""

import gzip
import lzma
import zlib
from collections.abc import Iterable
from pathlib import Path

from conformance.sandbox.guests.packages import ForeignRoot, GuestBuildError

_ELF = b"\x7fELF"
_GZIP = b"\x1f\x8b\x08"
_XZ = b"\xfd7zXZ\x00"
_TOOLS = {"lz4": b"\x02\x21\x4c\x18", "zstd": b"\x28\xb5\x2f\xfd"}
"""Payload formats Python does not read, by the program (and package) that does: LZ4 legacy frames, Zstandard."""


def find_kernel(root: Path) -> tuple[str, Path]:
    """Version and bzImage of the kernel in an unpacked root."""
    images = sorted((root / "boot").glob("vmlinuz-*"))
    if not images:
        raise GuestBuildError("the kernel package has no boot/vmlinuz-*")
    return images[-1].name.removeprefix("vmlinuz-"), images[-1]


def extract_vmlinux(bzimage: Path, tools: ForeignRoot, scratch: Path) -> bytes:
    """The ELF kernel inside a bzImage. `scratch` is an existing directory for temporary files."""
    data = bzimage.read_bytes()
    for magic, unpack in ((_GZIP, _gunzip), (_XZ, _unxz)):
        for payload in _payloads(data, magic):
            if (kernel := unpack(payload)).startswith(_ELF):
                return kernel
    for program, magic in _TOOLS.items():
        for payload in _payloads(data, magic):
            kernel = _unpack_with(program, payload, tools, scratch)
            if kernel.startswith(_ELF):
                return kernel
    raise GuestBuildError(f"{bzimage.name}: no ELF kernel found inside (tried gzip, xz, {', '.join(_TOOLS)})")


def module_order(root: Path, version: str, names: Iterable[str]) -> list[Path]:
    """The files of the named modules and of all they depend on, in the order to insert them.

    A name that the kernel has built in, or not at all, is left out: which of the two is the caller's to know.
    """
    folder = root / "lib" / "modules" / version
    if not folder.is_dir():
        folder = root / "usr" / "lib" / "modules" / version
    files = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    ordered: dict[str, Path] = {}

    def visit(name: str) -> None:
        if name in ordered or name not in files:
            return
        for needed in _module_dependencies(files[name]):
            visit(needed)
        ordered[name] = files[name]

    for name in names:
        visit(name.replace("-", "_"))
    return list(ordered.values())


def read_module(path: Path) -> bytes:
    """The module itself, decompressed if the distribution compresses modules."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _module_dependencies(path: Path) -> list[str]:
    """Names from the `depends=` record of the module's .modinfo section."""
    marker = b"\x00depends="
    data = read_module(path)
    start = data.find(marker)
    if start < 0:
        return []
    end = data.index(b"\x00", start + len(marker))
    listed = data[start + len(marker) : end].decode().split(",")
    return [name.replace("-", "_") for name in listed if name]


def _payloads(data: bytes, magic: bytes) -> Iterable[bytes]:
    start = data.find(magic)
    while start >= 0:
        yield data[start:]
        start = data.find(magic, start + 1)


def _gunzip(payload: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(payload)
    except (zlib.error, gzip.BadGzipFile):
        return b""


def _unxz(payload: bytes) -> bytes:
    try:
        return lzma.LZMADecompressor().decompress(payload)
    except lzma.LZMAError:
        return b""


def _unpack_with(program: str, payload: bytes, tools: ForeignRoot, scratch: Path) -> bytes:
    """Decompress with a program of the unpacked root. It complains about what follows; the output counts."""
    packed = scratch / "payload"
    packed.write_bytes(payload)
    return tools.output(program, "-d", "-q", "-c", str(packed))

"""What a guest image is built by."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from conformance.sandbox.guests.packages import Progress


class Recipe(Protocol):
    """How one guest is built. `boots_disk` tells whether the result has a `disk.raw` besides kernel and initramfs."""

    @property
    def name(self) -> str: ...
    @property
    def kernel_arguments(self) -> tuple[str, ...]: ...
    @property
    def boots_disk(self) -> bool: ...

    def ingredients(self) -> Iterator[bytes]:
        """Everything the image depends on, but the packages' own versions: what its digest is made of."""
        ...

    def build(self, scratch: Path, result: Path, suite: str | None, progress: Progress) -> dict[str, str]:
        """Write `vmlinux`, `initramfs` and maybe `disk.raw` into `result`; returns what the manifest tells of them.

        Raises GuestBuildError.
        """
        ...

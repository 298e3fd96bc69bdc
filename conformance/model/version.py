"""KubeVirt release numbers, compared as requirements need it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.model.problem import ModelError

_PATTERN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?")


class VersionError(ModelError):
    """A text that is no release number."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is no version; expected something like v1.9.0 or 1.9")


@dataclass(frozen=True, order=True)
class Version:
    """A release. A pre-release (``v1.9.0-rc.1``) counts as its release, since it brings the behaviour of it."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``v1.9.0``, ``1.9`` or ``v1.9.0-rc.1``.

        Raises:
            VersionError: the text is none of these.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise VersionError(text)
        major, minor, patch = match.groups()
        return cls(int(major), int(minor), int(patch or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.patch}" if self.patch else "")

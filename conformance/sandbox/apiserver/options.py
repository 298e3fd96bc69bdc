"""What write requests carry besides their body."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.errors import KubeObject

Validation = Literal["Strict", "Warn", "Ignore"]
FOREGROUND = "foregroundDeletion"
SYSTEM = User("system:apiserver", groups=("system:masters",))


@dataclass(frozen=True)
class WriteOptions:
    """What a write request carries besides its body. Warnings are appended for the client."""

    user: User = SYSTEM
    manager: str = "unknown"
    validation: Validation = "Warn"
    dry_run: bool = False
    subresource: str = ""
    patch: bool = False
    admit: bool = True
    warnings: list[str] = field(default_factory=list)

    def on(self, subresource: str) -> WriteOptions:
        """The same options for a write to a subresource."""
        return replace(self, subresource=subresource)


INTERNAL = WriteOptions(manager="apiserver", validation="Ignore", admit=False)
"""Writes of the server's own controllers."""


@dataclass(frozen=True)
class DeleteOptions:
    """`meta/v1 DeleteOptions`."""

    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    propagation: str = "Background"


def private_copy(obj: KubeObject) -> KubeObject:
    """A deep copy that may be changed."""
    copied: KubeObject = orjson.loads(orjson.dumps(obj))
    return copied

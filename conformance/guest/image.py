"""What we must know of a guest image to log into it, and what it does by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

DEFAULT: Final = "fedora"


@dataclass(frozen=True)
class GuestImage:
    """A containerDisk: its reference, and the account the image itself brings (no secret: it is published with it).

    ``boot_memory`` is the smallest sensible VM memory as a quantity; ``ignores_short_flaps`` says that the guest renews
    no lease when its carrier is away for 100 ms.
    """

    reference: str
    user: str
    password: str = field(repr=False)
    boot_memory: str = "192Mi"
    ignores_short_flaps: bool = False

    def cloud_init(self, key: str) -> dict[str, object]:
        """What the user data needs besides the key for the default user: root is let in by its own entry only."""
        if self.user != "root":
            return {}
        return {"disable_root": False, "users": [{"name": "root", "ssh_authorized_keys": [key]}]}


@dataclass(frozen=True)
class Profile:
    """A guest that the suite knows, without the tag of its image: ``network`` is its network stack in words."""

    repository: str
    user: str
    password: str = field(repr=False)
    memory: str
    network: str
    ignores_short_flaps: bool

    def image(self, reference: str) -> GuestImage:
        """The guest from that image of the repository."""
        return GuestImage(reference, self.user, self.password, self.memory, self.ignores_short_flaps)


@cache
def profiles() -> dict[str, Profile]:
    """The profiles by name."""
    table: dict[str, dict[str, Any]] = yaml.safe_load((files(__package__) / "profiles.yaml").read_text("utf-8"))
    return {
        name: Profile(**{key.replace("-", "_"): value for key, value in fields.items()})
        for name, fields in table.items()
    }

"""What KubeVirt says and does, by version: data, so that no code asks for a version.

Source: KubeVirt's API and controllers at the named tag, and a recorded v1.9.0 where both speak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


class UnknownVersionError(ValueError):
    """No facts are held for the requested KubeVirt version."""


@dataclass(frozen=True)
class VersionFacts:
    """One KubeVirt minor version.

    `qemu_timeout_seconds` is how long virt-handler waits for a launcher to answer before it gives the VMI up;
    `link_refresh_seconds` the pause between link down and link up after a migration.
    """

    version: str
    unknown_binding: str
    binding_count: str
    not_migratable: str
    sidecar_sub_path: bool
    sidecar_container_name: bool
    sidecar_plugin_name: bool
    command_socket_seconds: float
    link_refresh_seconds: float


_V1_9: Final = VersionFacts(
    version="v1.9.0",
    unknown_binding="couldn't find configuration for network binding: {name}",
    binding_count="logical {name} interface must have exactly one binding method or binding plugin",
    not_migratable=(
        "cannot migrate VMI which does not use masquerade or a migratable plugin to connect to the pod network"
    ),
    sidecar_sub_path=True,
    sidecar_container_name=True,
    sidecar_plugin_name=True,
    command_socket_seconds=180.0,
    link_refresh_seconds=0.1,
)

_BY_MINOR: Final = {"v1.9": _V1_9}

NEWEST: Final = "v1.9"


def facts_for(version: str) -> VersionFacts:
    """Facts of `v1.9` or `v1.9.0`; `UnknownVersionError` names what is held."""
    minor = ".".join(version.split(".")[:2])
    try:
        return _BY_MINOR[minor]
    except KeyError:
        held = ", ".join(_BY_MINOR)
        raise UnknownVersionError(f"KubeVirt {version}: the sandbox knows {held}") from None

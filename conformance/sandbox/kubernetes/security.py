"""A container's rights, from its own and its pod's security context, as a kubelet reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.sandbox.client import Object

DEFAULT_CAPABILITIES: Final = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""What container runtimes give a container that asks for nothing."""


@dataclass(frozen=True)
class Security:
    """`capabilities` are full names (`CAP_NET_RAW`), the whole set."""

    uid: int
    gid: int
    capabilities: tuple[str, ...]
    no_new_privileges: bool
    privileged: bool
    read_only_root: bool


def security_of(pod: Object, container: Object, image_user: tuple[int, int] = (0, 0)) -> Security:
    """The rights of `container` in `pod`; its own context goes before the pod's, and that before the image's user."""
    own, shared = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    dropped = {name.removeprefix("CAP_") for name in capabilities.get("drop") or ()}
    kept = [name for name in DEFAULT_CAPABILITIES if "ALL" not in dropped and name not in dropped]
    kept += [name.removeprefix("CAP_") for name in capabilities.get("add") or ()]
    given = own.get("runAsUser", shared.get("runAsUser"))
    uid, gid = image_user if given is None else (given, given)
    return Security(
        uid=uid,
        gid=own.get("runAsGroup", shared.get("runAsGroup", gid)),
        capabilities=tuple(f"CAP_{name}" for name in dict.fromkeys(kept)),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
    )

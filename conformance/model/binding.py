"""A binding under test: what was registered, what it claims, and what has to be there before it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from conformance.model.capability import Capability
from conformance.model.corebinding import CoreBinding
from conformance.model.jsonvalue import JsonObject
from conformance.model.problem import Problem
from conformance.model.registration import NadReference, Registration

Attachment: TypeAlias = Literal["tap", "managedTap", "core", "sidecar", "none"]
"""How the interface gets into the domain: by KubeVirt (``tap``, ``managedTap``, ``core`` for its own bindings), by a
sidecar alone, or not at all."""


@dataclass(frozen=True)
class Implementation:
    """Who made the binding, as the report names it. ``contact`` are addresses or URLs."""

    organization: str
    project: str
    version: str
    url: str = ""
    contact: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageArtifact:
    """A container image for a cluster without a registry.

    ``name`` is the reference that pods use. One of these says what is in it, as an absolute path: ``layer``, a
    directory whose content lies over the base root at ``/``; ``rootfs``, a directory with all of the image;
    ``archive``, what ``docker save`` wrote or an OCI layout (archive or directory). ``command`` is the image's entry
    point (may be empty), ``args`` what follows it unless the pod says otherwise, ``env`` its environment; ``user``
    (``uid[:gid]`` or names, empty for root) and ``working_directory`` are those of an archive.
    """

    name: str
    layer: Path | None = None
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    rootfs: Path | None = None
    archive: Path | None = None
    args: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = "/"

    @property
    def path(self) -> Path:
        """The one path that says what is in it."""
        path = self.layer or self.rootfs or self.archive
        assert path is not None
        return path


@dataclass(frozen=True)
class CniPluginArtifact:
    """A CNI plugin that every node gets in its plugin directory: file name there, and the absolute path to copy."""

    name: str
    path: Path


@dataclass(frozen=True)
class Artifacts:
    """The files that make a binding run on a cluster that cannot pull them."""

    images: tuple[ImageArtifact, ...] = ()
    cni_plugins: tuple[CniPluginArtifact, ...] = ()

    def image(self, name: str) -> ImageArtifact | None:
        """Return the image with this reference, None if the definition brings none."""
        return next((image for image in self.images if image.name == name), None)


IpProvider = Literal["routed", "sticky"]
"""Who gives pods their addresses: a network that is routed between nodes with addresses of their own, or one layer-2
network over all of them that keeps the addresses of a VM wherever it runs."""

LONGEST_STATIC_PREFIX: Final = 16
"""Of a network of which the suite gives guests addresses: as many bits are left as tell its MAC addresses apart."""
IP_PROVIDERS: tuple[IpProvider, ...] = get_args(IpProvider)


@dataclass(frozen=True)
class Facts:
    """What the vendor declares about addresses and bounds. All optional: None and empty mean "not said".

    Seconds for the bounds. ``unsupported`` and ``supports`` are ids of requirements that the vendor opts out of and
    into, where the catalogue allows it.
    """

    guest_subnet: IPv4Network | None = None
    guest_subnet6: IPv6Network | None = None
    gateway: IPv4Address | None = None
    nameservers: tuple[IPv4Address | IPv6Address, ...] = ()
    search_domains: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    dual_stack: bool | None = None
    ipv6_source: Literal["slaac", "dhcpv6"] | None = None
    dhcp_options: Literal["honoured", "ignored"] | None = None
    lease_seconds: int | None = None
    migration_outage_seconds: float | None = None
    ipv6_settle_seconds: float | None = None
    secondary_network: NadReference | None = None
    ip_provider: IpProvider | None = None
    unsupported: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()


@dataclass(frozen=True)
class MutantInfo:
    """The one fault that a binding was given, and the requirements that exactly must fail for it."""

    name: str
    source: Path
    fault: str
    caught_by: tuple[str, ...]


@dataclass(frozen=True)
class Binding:
    """A binding definition, resolved: paths absolute, manifests parsed, faults applied.

    It is either a plugin, with a ``registration``, or one of KubeVirt's own bindings, with ``core``; the other is None.
    ``name`` is the name it is registered under; ``source`` the definition's file; ``declared`` the capabilities as
    the vendor lists them; ``manifests`` the objects to apply, in order, before registering; ``digest`` the SHA-256
    (hex) of everything that went in: definition, manifests and artifact files; ``mutant`` is None for a sound binding;
    ``warnings`` are the problems that do not keep it from being used.
    """

    name: str
    source: Path
    implementation: Implementation
    registration: Registration | None
    core: CoreBinding | None
    declared: frozenset[Capability]
    facts: Facts
    manifests: tuple[JsonObject, ...]
    artifacts: Artifacts
    digest: str
    mutant: MutantInfo | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The effective capabilities: declared ones and those that follow from the registration, or from which core
        binding it is."""
        return self.declared | derived_capabilities(self.registration, self.core)

    @property
    def label(self) -> str:
        """The name to show: the mutant's if it is one, else the binding's."""
        return self.mutant.name if self.mutant else self.name

    @property
    def attachment(self) -> Attachment:
        """How its interface gets into the domain."""
        if self.registration is None:
            return "core"
        match self.registration.domain_attachment_type:
            case "tap":
                return "tap"
            case "managedTap":
                return "managedTap"
            case _:
                return "sidecar" if self.registration.sidecar_image else "none"

    @property
    def nad(self) -> NadReference | None:
        """The NetworkAttachmentDefinition of the registration, None if there is none or it is malformed."""
        return NadReference.parse(self.registration.network_attachment_definition) if self.registration else None


def derived_capabilities(registration: Registration | None, core: CoreBinding | None) -> frozenset[Capability]:
    """What follows from the one of the two that is there."""
    return frozenset().union(*(source.capabilities for source in (registration, core) if source is not None))

"""The files a vendor writes, as pydantic models: the source of the published JSON Schemas."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from conformance.model.binding import IpProvider
from conformance.model.capability import DERIVED, PROMISES, Capability
from conformance.model.corebinding import CoreBinding
from conformance.model.registration import DOMAIN_ATTACHMENT_TYPES, DOWNWARD_API_VALUES, MIGRATION_METHODS

API_VERSION = "binding-conformance/v1alpha1"
DNS_LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
REQUIREMENT_ID_PATTERN = "^[A-Z][A-Z0-9]*-[0-9]{3}$"
POINTER_PATTERN = "^(/([^/~]|~[01])*)*$"

RequirementId = Annotated[str, Field(pattern=REQUIREMENT_ID_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
    )


class MetadataFile(_File):
    """Names the object."""

    name: Annotated[str, Field(pattern=DNS_LABEL_PATTERN)]
    """A DNS-1123 label. For a binding: the name under which it is registered and that a VM's `binding.name` gives."""


class ImplementationFile(_File):
    """Who made the binding; it stands at the head of the report."""

    organization: Text
    """The organisation behind it."""
    project: Text
    """The project's name."""
    version: Text
    """The version under test, in quotes if it looks like a number."""
    url: str = ""
    """Where to read about it."""
    contact: list[Text] = []
    """Addresses or pages where to reach its makers."""


class MigrationFile(_File):
    """Marks the binding as migratable by being there, even empty (`{}`)."""

    method: Annotated[str, Field(json_schema_extra={"enum": list(MIGRATION_METHODS)})] = ""
    """What KubeVirt does after a migration; `link-refresh` takes the guest's link down and up."""


class ResourcesFile(_File):
    """Resources added to the compute container; KubeVirt reads only `requests.memory`."""

    requests: dict[str, str | int | float] = {}
    """Requested quantities by resource name."""
    limits: dict[str, str | int | float] = {}
    """Limits by resource name."""


class RegistrationFile(_File):
    """The value of `KubeVirt.spec.configuration.network.binding.<metadata.name>`, exactly as KubeVirt gets it."""

    network_attachment_definition: str = ""
    """`name` or `namespace/name` of the NetworkAttachmentDefinition that runs the binding's CNI plugin."""
    sidecar_image: str = ""
    """Image of the hook sidecar."""
    domain_attachment_type: Annotated[str, Field(json_schema_extra={"enum": list(DOMAIN_ATTACHMENT_TYPES)})] = ""
    """How KubeVirt itself attaches the interface: an existing tap or macvtap, or a bridge and tap it makes."""
    migration: MigrationFile | None = None
    """Present (even `{}`) if VMs with this binding can be live-migrated."""
    downward_api: Annotated[str, Field(alias="downwardAPI", json_schema_extra={"enum": list(DOWNWARD_API_VALUES)})] = ""
    """What the sidecar finds in /etc/podinfo/network-info."""
    compute_resource_overhead: ResourcesFile | None = None
    """Memory the binding needs in the compute container, counted once per VM."""


class FactsFile(_File):
    """What checks cannot know and a vendor can say. All optional."""

    guest_subnet: IPv4Network | None = None
    """IPv4 network that guest addresses come from; needed with capability `nat`. Without `ipam` the suite takes guest
    addresses from it, if it is at least a /16, and cloud-init sets them."""
    guest_subnet6: IPv6Network | None = None
    """IPv6 network that guest addresses come from."""
    gateway: IPv4Address | None = None
    """The default gateway the guest is told; if not said, any that answers."""
    nameservers: list[IPv4Address | IPv6Address] = []
    """Nameservers the guest is told; if not said, those of the pod's resolv.conf."""
    search_domains: list[Text] = []
    """Search domains the guest is told; if not said, those of the pod's resolv.conf."""
    ports: list[Port] = []
    """Ports that can be forwarded; if not said, all."""
    dual_stack: bool | None = None
    """Whether the guest gets IPv4 and IPv6 on a dual-stack cluster."""
    ipv6_source: Literal["slaac", "dhcpv6"] | None = None
    """How the guest comes by its global IPv6 address."""
    dhcp_options: Literal["honoured", "ignored"] | None = None
    """What becomes of an interface's dhcpOptions."""
    lease_seconds: Annotated[int, Field(ge=1)] | None = None
    """Length of a DHCP lease."""
    migration_outage_seconds: Annotated[float, Field(gt=0)] | None = None
    """Longest outage at a live migration."""
    ipv6_settle_seconds: Annotated[float, Field(gt=0)] | None = None
    """Time after a live migration in which the guest has its new IPv6 address, if the address does not stay."""
    secondary_network: Annotated[str, Field(min_length=1)] | None = None
    """`namespace/name` of the NetworkAttachmentDefinition to test as a secondary network; capability `sec`."""
    ip_provider: IpProvider | None = None
    """What kind of pod network the binding is meant for: `routed`, where a VM that moves gets an address of its new
    node, or `sticky`, which keeps its addresses. The sandbox has the one that is named, unless told otherwise."""
    unsupported: list[RequirementId] = []
    """Requirements whose behaviour the binding documents as unsupported, where the catalogue lets it opt out."""
    supports: list[RequirementId] = []
    """Optional requirements to be judged by, where the catalogue lets it opt in."""


class ImageFile(_File):
    """A container image for a cluster without a registry: of `layer`, `rootfs` and `archive` exactly one."""

    name: Text
    """The reference that pods use."""
    layer: Text | None = None
    """Directory whose content is laid over the base root at `/`; relative to the definition."""
    rootfs: Text | None = None
    """Directory with the whole content of the image, as a container sees it; relative to the definition."""
    archive: Text | None = None
    """The image as `docker save` writes it, an OCI archive, or an OCI layout directory; relative to the definition.
    What it starts, its environment, user and working directory are in it."""
    command: list[Text] = []
    """Entry point, instead of an archive's own. Its first word is a file of the image: an absolute path, or a name in
    a directory of PATH."""
    env: dict[str, str] = {}
    """Environment of the image, over an archive's own."""


class CniPluginFile(_File):
    """A CNI plugin for every node."""

    name: Annotated[str, Field(pattern="^[^/\\s]+$")]
    """File name in the node's plugin directory: the `type` of a network configuration."""
    path: Text
    """The executable, relative to the definition."""


class ArtifactsFile(_File):
    """The files that make the binding run on a cluster that cannot pull them."""

    images: list[ImageFile] = []
    """Container images."""
    cni_plugins: list[CniPluginFile] = []
    """CNI plugins."""


class DefinitionSpec(_File):
    """The binding: a plugin with its registration, or one of KubeVirt's own."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["registration"]}, {"required": ["core"]}]})

    implementation: ImplementationFile
    registration: RegistrationFile | None = None
    """What a plugin is registered as; there is none for one of KubeVirt's own bindings."""
    core: CoreBinding | None = None
    """One of KubeVirt's own bindings, as a baseline: the field of `interfaces[]` that asks for it."""
    capabilities: Annotated[list[Capability], Field(json_schema_extra={"uniqueItems": True})] = []
    """What the binding claims; every claim is verified. Capabilities that follow from the registration (or from which
    core binding it is) are not listed, except mig and refresh, which may be."""
    facts: FactsFile = FactsFile()
    manifests: list[Text] = []
    """YAML files to apply, in order, before the binding is registered; relative to the definition."""
    artifacts: ArtifactsFile = ArtifactsFile()


class DefinitionFile(_File):
    """A network binding plugin as its vendor brings it to the conformance suite, or a core binding as a baseline."""

    api_version: Literal["binding-conformance/v1alpha1"]
    kind: Literal["BindingDefinition"]
    metadata: MetadataFile
    spec: DefinitionSpec


class PatchTargetFile(_File):
    """The document a patch changes: the definition, or one object of its manifests."""

    definition: Literal[True] | None = None
    """True for the definition itself."""
    kind: Text | None = None
    """Kind of the object."""
    name: Text | None = None
    """Name of the object."""
    namespace: Text | None = None
    """Namespace of the object, where kind and name are not unique."""
    json_field: Annotated[str, Field(pattern=POINTER_PATTERN)] | None = None
    """JSON pointer to a string of the object that holds JSON (`/spec/config` of a NetworkAttachmentDefinition):
    the operations then change that inner document."""


class OperationFile(_File):
    """One RFC 6902 operation."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Annotated[str, Field(pattern=POINTER_PATTERN)]
    from_: Annotated[str, Field(alias="from", pattern=POINTER_PATTERN)] = ""
    value: JsonValue = None


class PatchFile(_File):
    """Operations on one document."""

    target: PatchTargetFile
    operations: Annotated[list[OperationFile], Field(min_length=1)]
    """Applied in order; one that does not apply is an error."""


class MutantSpec(_File):
    """The fault."""

    base: Text
    """The sound definition, relative to this file."""
    fault: Text
    """The one fault, in words."""
    caught_by: Annotated[list[RequirementId], Field(min_length=1)]
    """The requirements that fail for it, and no others."""
    patches: Annotated[list[PatchFile], Field(min_length=1)]
    """Patches of the definition first, then those of its manifests."""


class MutantFile(_File):
    """A reference binding with exactly one fault, which named requirements must catch."""

    api_version: Literal["binding-conformance/v1alpha1"]
    kind: Literal["Mutant"]
    metadata: MetadataFile
    spec: MutantSpec


UNDECLARABLE = DERIVED - PROMISES
"""Capabilities that a definition must not list, since they follow from its registration or core binding."""

"""Whether the parts of a definition agree: capabilities, registration, facts, manifests and artifacts."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.model.binding import LONGEST_STATIC_PREFIX, Artifacts, Facts
from conformance.model.capability import GROUPS, Capability
from conformance.model.definition.files import UNDECLARABLE, DefinitionSpec
from conformance.model.definition.findings import FieldPath, Findings
from conformance.model.definition.manifests import DEFAULT_NAMESPACE, NAD_KIND, Manifest
from conformance.model.registration import NadReference, Registration, registration_problems

_REGISTRATION: FieldPath = ("spec", "registration")
_CORE: FieldPath = ("spec", "core")
_CAPABILITIES: FieldPath = ("spec", "capabilities")

_SOURCES: dict[Capability, str] = {
    Capability.ATTACH_TAP: "domainAttachmentType: tap",
    Capability.ATTACH_MANAGED_TAP: "domainAttachmentType: managedTap",
    Capability.ATTACH_CORE: "core: masquerade or bridge",
    Capability.PLUGIN: "registration",
    Capability.SIDECAR: "sidecarImage",
    Capability.CNI: "networkAttachmentDefinition",
    Capability.DEVICE_INFO: "downwardAPI: device-info",
    Capability.OVERHEAD: "computeResourceOverhead",
    Capability.MIGRATION: "migration",
    Capability.REFRESH: "migration.method: link-refresh",
}


def check_kind(spec: DefinitionSpec, findings: Findings) -> None:
    """Note a definition that is neither plugin nor core binding, or both."""
    if spec.registration is None and spec.core is None:
        if not findings.has_error(_REGISTRATION) and not findings.has_error(_CORE):
            fix = "add registration, as KubeVirt gets it; or core, for one of KubeVirt's own bindings"
            findings.error(_REGISTRATION, "the field is missing", fix, value="")
    elif spec.registration is not None and spec.core is not None:
        findings.error(_CORE, "a core binding is not registered", "keep one of core and registration")
    if spec.core is not None and (spec.artifacts.images or spec.artifacts.cni_plugins):
        fix = "remove them; a network that it is tested on goes to spec.manifests"
        findings.error(("spec", "artifacts"), "a core binding is part of KubeVirt and brings no files", fix, value="")


def check_registration(registration: Registration, findings: Findings) -> None:
    """Note the values KubeVirt would not act upon, and a registration that gives a VM no interface."""
    for problem in registration_problems(registration):
        path = (*_REGISTRATION, *problem.field.split("."))
        findings.error(path, problem.message, problem.fix, value=problem.value)
    for key, value in registration.data.items():
        if value is None:
            fix = "write {} if it shall be there but empty, or remove it"
            findings.error((*_REGISTRATION, key), "null is the same as absent", fix, value="null")
    if not registration.domain_attachment_type and not registration.sidecar_image:
        fix = "add domainAttachmentType or sidecarImage"
        findings.error(_REGISTRATION, "nothing here gives the VM an interface", fix, value="")


def check_capabilities(
    declared: Sequence[Capability], derived: frozenset[Capability], facts: Facts, findings: Findings
) -> None:
    """Note capabilities that contradict those that follow from the registration or core binding, each other or the
    facts."""
    claimed = frozenset(declared)
    effective = claimed | derived
    for index, capability in enumerate(declared):
        path = (*_CAPABILITIES, index)
        if capability in declared[:index]:
            findings.warn(path, "the capability is listed twice", "keep one")
        elif capability in UNDECLARABLE:
            _check_undeclarable(capability, derived, path, findings)
        elif capability in _SOURCES and capability not in derived:
            plugin = Capability.PLUGIN in derived
            fix = f"add {_SOURCES[capability]} to the registration or remove the capability"
            what = "the registration" if plugin else "this core binding"
            findings.warn(
                path,
                f"{what} does not keep this promise; its checks will fail",
                fix if plugin else "remove the capability",
            )
        else:
            _check_company(capability, effective, path, findings)
    if not effective & {Capability.POD, Capability.SECONDARY} and not findings.has_error(_CAPABILITIES):
        fix = "add pod, sec or both"
        findings.error(_CAPABILITIES, "the binding claims no network to connect to", fix, value="")
    path = ("spec", "facts", "guestSubnet")
    if {Capability.NAT, Capability.IPAM} <= claimed and facts.guest_subnet is None and not findings.has_error(path):
        findings.error(path, "nat and ipam need to know the guest's network", "add it, for example 10.0.2.0/24")
    given = {Capability.IPAM, Capability.POD_IP, Capability.NAT} & effective
    small = facts.guest_subnet is None or facts.guest_subnet.prefixlen > LONGEST_STATIC_PREFIX
    if not given and small and not findings.has_error(path):
        what = "without ipam nobody gives the guests addresses; checks that need one will be inconclusive"
        fix = f"add a network of at least /{LONGEST_STATIC_PREFIX} to take addresses from; with DHCP add ipam"
        findings.warn(path, what, fix)


def _check_undeclarable(
    capability: Capability, derived: frozenset[Capability], path: FieldPath, findings: Findings
) -> None:
    source = _SOURCES[capability]
    plugin = Capability.PLUGIN in derived
    kind = "the registration" if plugin else "the core binding"
    if capability in derived:
        findings.warn(path, f"this follows from {kind} and is not declared", "remove it")
    else:
        fix = f"add {source} to the registration, or remove the capability" if plugin else "remove the capability"
        findings.error(path, f"{kind} contradicts this capability", fix)


def _check_company(
    capability: Capability, effective: frozenset[Capability], path: FieldPath, findings: Findings
) -> None:
    """Capabilities that mean nothing without another, or not beside another."""
    pod_only = {Capability.POD_IP, Capability.POLICY, Capability.SERVICE}
    if capability in pod_only and Capability.POD not in effective:
        findings.error(path, "this concerns the pod network only", "add pod, or remove the capability")
    if capability is Capability.STICKY and Capability.MIGRATION not in effective:
        fix = "add migration to the registration, or remove the capability"
        findings.error(path, "an address can only stay over a migration", fix)
    if capability is Capability.LINK and not effective & GROUPS["attach"]:
        fix = "remove it unless the sidecar handles state itself"
        findings.warn(path, "KubeVirt changes a link's state only with a domainAttachmentType", fix)
    if capability is Capability.NAT and Capability.POD_IP in effective:
        fix = "keep podip if the guest holds the pod's address at boot, else nat"
        findings.warn(path, "nat and podip say opposite things of the guest's address", fix)


def check_what_is_brought(
    registration: Registration, manifests: Sequence[Manifest], artifacts: Artifacts, findings: Findings
) -> None:
    """Warn of a NetworkAttachmentDefinition and a sidecar image that the definition names and does not bring."""
    reference = NadReference.parse(registration.network_attachment_definition)
    if reference is not None and not _brings(manifests, reference):
        path = (*_REGISTRATION, "networkAttachmentDefinition")
        fix = "add its file to spec.manifests, unless the cluster has it already"
        findings.warn(path, "no manifest defines this NetworkAttachmentDefinition", fix)
    image = registration.sidecar_image
    if image and artifacts.image(image) is None:
        path = (*_REGISTRATION, "sidecarImage")
        fix = "add it to spec.artifacts.images, unless the cluster can pull it"
        findings.warn(path, "no artifact brings this image", fix)


def _brings(manifests: Sequence[Manifest], reference: NadReference) -> bool:
    """A reference without a namespace means the VM's, so any namespace will do."""
    return any(
        manifest.kind == NAD_KIND
        and manifest.name == reference.name
        and reference.namespace in ("", manifest.namespace or DEFAULT_NAMESPACE)
        for manifest in manifests
    )

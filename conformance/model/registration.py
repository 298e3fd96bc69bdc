"""The registration of a binding: one entry of ``KubeVirt.spec.configuration.network.binding``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.model.capability import Capability
from conformance.model.jsonvalue import JsonObject, JsonValue, get_path, get_text

DOMAIN_ATTACHMENT_TYPES = ("tap", "managedTap")
MIGRATION_METHODS = ("link-refresh",)
DOWNWARD_API_VALUES = ("device-info",)

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*(@[a-z0-9]+:[0-9a-f]{32,})?")


@dataclass(frozen=True)
class NadReference:
    """A NetworkAttachmentDefinition named as ``name`` or ``namespace/name``; ``namespace`` is empty for the former."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> NadReference | None:
        """Read a reference, None if it is malformed (an empty part, a third part, a name that is no DNS name)."""
        namespace, slash, name = text.rpartition("/")
        if slash and not is_dns_label(namespace):
            return None
        return cls(namespace, name) if is_dns_subdomain(name) else None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Registration:
    """What KubeVirt is told about a binding (KubeVirt API type ``InterfaceBindingPlugin``).

    Empty strings stand for absent fields. ``migratable`` is the presence of ``migration`` (even empty), which is all
    KubeVirt looks at; ``migration_method`` is its ``method``. ``memory_overhead`` is
    ``computeResourceOverhead.requests.memory`` as written. ``data`` is the value to put in the KubeVirt resource,
    exactly as the definition has it.
    """

    network_attachment_definition: str
    sidecar_image: str
    domain_attachment_type: str
    migratable: bool
    migration_method: str
    downward_api: str
    memory_overhead: str
    data: JsonObject

    @classmethod
    def parse(cls, data: JsonObject) -> Registration:
        """Read a value as KubeVirt would: a field that is absent or of another type than text counts as empty."""
        return cls(
            network_attachment_definition=get_text(data, "networkAttachmentDefinition"),
            sidecar_image=get_text(data, "sidecarImage"),
            domain_attachment_type=get_text(data, "domainAttachmentType"),
            migratable=get_path(data, "migration") is not None,
            migration_method=get_text(data, "migration", "method"),
            downward_api=get_text(data, "downwardAPI"),
            memory_overhead=_quantity_text(get_path(data, "computeResourceOverhead", "requests", "memory")),
            data=_copy_object(data),
        )

    def to_dict(self) -> JsonObject:
        """Return a copy of the value for the KubeVirt resource, which the caller may change."""
        return _copy_object(self.data)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that follow from the registration. Unknown values give none, as in KubeVirt."""
        found = {
            Capability.PLUGIN: True,
            Capability.ATTACH_TAP: self.domain_attachment_type == "tap",
            Capability.ATTACH_MANAGED_TAP: self.domain_attachment_type == "managedTap",
            Capability.L2: self.domain_attachment_type in DOMAIN_ATTACHMENT_TYPES,
            Capability.SIDECAR: bool(self.sidecar_image),
            Capability.CNI: bool(self.network_attachment_definition),
            Capability.DEVICE_INFO: self.downward_api == "device-info",
            Capability.MIGRATION: self.migratable,
            Capability.REFRESH: self.migration_method == "link-refresh",
            Capability.OVERHEAD: bool(self.memory_overhead),
        }
        return frozenset(capability for capability, present in found.items() if present)


@dataclass(frozen=True)
class RegistrationProblem:
    """A value that KubeVirt accepts and does not understand.

    ``field`` is the path inside the registration, ``value`` what stands there.
    """

    field: str
    value: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}; got {self.value!r}; {self.fix}"


def registration_problems(registration: Registration) -> tuple[RegistrationProblem, ...]:
    """Find the values of a registration that KubeVirt would accept silently and not act upon.

    KubeVirt does not validate this part of its resource: neither the CRD nor its webhook looks at it, so an unknown
    ``domainAttachmentType`` yields a VM without its interface and an unknown migration method yields none. The
    requirement REG-007 is exactly that this function finds nothing.
    """
    return (
        *_unknown("domainAttachmentType", registration.domain_attachment_type, DOMAIN_ATTACHMENT_TYPES),
        *_unknown("migration.method", registration.migration_method, MIGRATION_METHODS),
        *_unknown("downwardAPI", registration.downward_api, DOWNWARD_API_VALUES),
        *_nad_problems(registration.network_attachment_definition),
        *_image_problems(registration.sidecar_image),
        *_overhead_problems(registration.data.get("computeResourceOverhead")),
    )


def _unknown(field: str, value: str, known: tuple[str, ...]) -> Iterable[RegistrationProblem]:
    if not value or value in known:
        return
    choice = " or ".join(known)
    yield RegistrationProblem(
        field, value, "KubeVirt does not know this value", f"write {suggest(value, known, choice)}"
    )


def _nad_problems(reference: str) -> Iterable[RegistrationProblem]:
    if reference and NadReference.parse(reference) is None:
        yield RegistrationProblem(
            "networkAttachmentDefinition",
            reference,
            "this is no reference to a NetworkAttachmentDefinition",
            "write name or namespace/name, lower-case DNS names",
        )


def _image_problems(image: str) -> Iterable[RegistrationProblem]:
    if image and _IMAGE.fullmatch(image) is None:
        yield RegistrationProblem(
            "sidecarImage", image, "this is no image reference", "write registry/repository:tag or ...@sha256:digest"
        )


def _overhead_problems(overhead: JsonValue) -> Iterable[RegistrationProblem]:
    if not isinstance(overhead, dict):
        return
    for section, resources in overhead.items():
        for resource, quantity in resources.items() if isinstance(resources, dict) else ():
            field = f"computeResourceOverhead.{section}.{resource}"
            if (section, resource) != ("requests", "memory"):
                message, fix = "KubeVirt reads only requests.memory", "remove it"
            elif not is_quantity(quantity):
                message, fix = "this is no Kubernetes quantity", "write something like 250Mi"
            else:
                continue
            yield RegistrationProblem(field, str(quantity), message, fix)


def suggest(value: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the known word closest to ``value``, or ``otherwise`` if none is close."""
    by_key = {_fold(word): word for word in known}
    close = difflib.get_close_matches(_fold(value), by_key, n=1, cutoff=0.7)
    return by_key[close[0]] if close else otherwise


def _fold(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def is_dns_label(text: str) -> bool:
    """Tell whether a text is a DNS-1123 label: at most 63 of a-z, 0-9 and ``-``, not beginning or ending with ``-``."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Tell whether a text is a DNS-1123 subdomain, as Kubernetes object names are."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_quantity(value: JsonValue) -> bool:
    """Tell whether a value is a Kubernetes quantity (``250Mi``, ``1.5G``, 1024)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    return _QUANTITY.fullmatch(str(value)) is not None


def _quantity_text(value: JsonValue) -> str:
    return str(value) if is_quantity(value) else ""


def _copy_object(value: JsonObject) -> JsonObject:
    return {key: copy_json(item) for key, item in value.items()}


def copy_json(value: JsonValue) -> JsonValue:
    """Return a deep copy of a JSON value."""
    if isinstance(value, dict):
        return _copy_object(value)
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value

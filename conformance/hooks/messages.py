"""The messages of KubeVirt's hook API, encoded by hand.

Source: the .proto files under pkg/hooks of KubeVirt (info, v1alpha1, v1alpha2, v1alpha3; wire compatible with each
other where they overlap).
"""

from dataclasses import dataclass

from conformance.protowire import decode_fields, encode_fields, field, fields_of, varint_field

INFO_METHOD = "/kubevirt.hooks.info.Info/Info"
SUPPORTED_VERSIONS = ("v1alpha3", "v1alpha2", "v1alpha1")
"""Newest first: the first that a sidecar offers is used."""

ON_DEFINE_DOMAIN = "OnDefineDomain"
PRE_CLOUD_INIT_ISO = "PreCloudInitIso"
SHUTDOWN = "Shutdown"


def callback_method(version: str, hook_point: str) -> str:
    """The gRPC method of a hook point in one version of the API."""
    return f"/kubevirt.hooks.{version}.Callbacks/{hook_point}"


@dataclass(frozen=True)
class HookPoint:
    """One subscription; a higher priority comes first, then the name."""

    name: str
    priority: int = 0


@dataclass(frozen=True)
class Info:
    """What a sidecar says of itself: its name, subscriptions and API versions."""

    name: str
    hook_points: tuple[HookPoint, ...] = ()
    versions: tuple[str, ...] = ()

    def encode(self) -> bytes:
        points = b"".join(
            field(3, field(1, point.name.encode()) + varint_field(2, point.priority)) for point in self.hook_points
        )
        versions = b"".join(field(4, version.encode()) for version in self.versions)
        return field(1, self.name.encode()) + points + versions

    @classmethod
    def decode(cls, data: bytes) -> "Info":
        name, points, versions = "", [], []
        for number, value in fields_of(data):
            if number == 1:
                name = _text(value)
            elif number == 3:
                points.append(_hook_point(value))
            elif number == 4:
                versions.append(_text(value))
        return cls(name, tuple(points), tuple(versions))


@dataclass(frozen=True)
class DomainCall:
    """Parameters of OnDefineDomain: libvirt domain XML and the VMI as JSON. Its result is the XML alone."""

    domain_xml: bytes
    vmi: bytes = b""

    def encode(self) -> bytes:
        return encode_fields({1: self.domain_xml, 2: self.vmi})

    @classmethod
    def decode(cls, data: bytes) -> "DomainCall":
        fields = decode_fields(data)
        return cls(fields.get(1, b""), fields.get(2, b""))


@dataclass(frozen=True)
class CloudInitCall:
    """Parameters and result of PreCloudInitIso, all JSON: the legacy source, the VMI (parameters only), the data."""

    source: bytes = b""
    vmi: bytes = b""
    data: bytes = b""

    def encode(self) -> bytes:
        return encode_fields({1: self.source, 2: self.vmi, 3: self.data})

    @classmethod
    def decode(cls, data: bytes) -> "CloudInitCall":
        fields = decode_fields(data)
        return cls(fields.get(1, b""), fields.get(2, b""), fields.get(3, b""))


def _hook_point(value: bytes | int) -> HookPoint:
    name, priority = "", 0
    for number, part in fields_of(value if isinstance(value, bytes) else b""):
        if number == 1:
            name = _text(part)
        elif number == 2 and isinstance(part, int):
            low = part & 0xFFFFFFFF
            priority = low - (1 << 32) if low & 0x80000000 else low
    return HookPoint(name, priority)


def _text(value: bytes | int) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

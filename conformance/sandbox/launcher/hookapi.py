"""The messages of KubeVirt's hook API, encoded by hand.

Source: the .proto files under pkg/hooks of KubeVirt (info, v1alpha1, v1alpha2, v1alpha3; wire compatible with each
other where they overlap). Only two field kinds occur, so a codec of forty lines replaces generated code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

INFO_METHOD = "/kubevirt.hooks.info.Info/Info"
SUPPORTED_VERSIONS = ("v1alpha3", "v1alpha2", "v1alpha1")
"""Newest first: the first that a sidecar offers is used."""

ON_DEFINE_DOMAIN = "OnDefineDomain"
PRE_CLOUD_INIT_ISO = "PreCloudInitIso"
SHUTDOWN = "Shutdown"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
            _field(3, _field(1, point.name.encode()) + _number(2, point.priority)) for point in self.hook_points
        )
        versions = b"".join(_field(4, version.encode()) for version in self.versions)
        return _field(1, self.name.encode()) + points + versions

    @classmethod
    def decode(cls, data: bytes) -> "Info":
        name, points, versions = "", [], []
        for number, value in _fields(data):
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


def encode_fields(fields: Mapping[int, bytes]) -> bytes:
    """A message of byte-string fields by number; empty ones are left out, as proto3 does."""
    return b"".join(_field(number, value) for number, value in fields.items())


def decode_fields(data: bytes) -> dict[int, bytes]:
    """The byte-string fields of a message by number; the last of a repeated one. Raises ValueError if malformed."""
    return {number: value for number, value in _fields(data) if isinstance(value, bytes)}


def _hook_point(value: bytes | int) -> HookPoint:
    name, priority = "", 0
    for number, part in _fields(value if isinstance(value, bytes) else b""):
        if number == 1:
            name = _text(part)
        elif number == 2 and isinstance(part, int):
            low = part & 0xFFFFFFFF
            priority = low - (1 << 32) if low & 0x80000000 else low
    return HookPoint(name, priority)


def _text(value: bytes | int) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value if value else b""


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF) if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _read_varint(data, position)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, position = _read_varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position + length > len(data):
            raise ValueError("message is cut short")
        yield key >> 3, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("number is cut short")

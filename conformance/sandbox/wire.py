"""The wire format of Protocol Buffers, for the few messages the sandbox reads and writes without generated code.

Source: protobuf.dev, "Encoding". Used for typed clients' request bodies and for KubeVirt's hook API.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """One field of a message: a number (varint), or the bytes of anything else."""

    number: int
    value: int | bytes


def read_fields(data: bytes) -> Iterator[Field]:
    """The fields of a message in their order, repeated ones repeated. ValueError if it is malformed."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield Field(tag >> 3, value)
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"wire type {kind} is not known")
        if at + size > len(data):
            raise ValueError("a field reaches beyond the end of its message")
        yield Field(tag >> 3, data[at : at + size])
        at += size


def read_byte_fields(data: bytes) -> dict[int, bytes]:
    """The byte-string fields by number, the last of a repeated one. ValueError if the message is malformed."""
    return {number: value for number, value in read_fields(data) if isinstance(value, bytes)}


def write_bytes(number: int, value: bytes) -> bytes:
    """A field of bytes, text or a message; nothing for an empty one, as proto3 does."""
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value if value else b""


def write_number(number: int, value: int) -> bytes:
    """A field of an integer (negative ones in 64 bits); nothing for 0."""
    return _varint(number << 3 | _VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF) if value else b""


def write_byte_fields(fields: Mapping[int, bytes]) -> bytes:
    """A message of byte-string fields by number."""
    return b"".join(write_bytes(number, value) for number, value in fields.items())


def signed_32(value: int) -> int:
    """A varint read as int32, which negative numbers are sent as."""
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low & 0x80000000 else low


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number does not end")

"""The few parts of Protocol Buffers that gRPC services with small messages need, so that no generated code is kept.

Source: the encoding described at protobuf.dev. Lengths and varints are written; every wire type but groups is read.
"""

from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def encode_fields(fields: Mapping[int, bytes]) -> bytes:
    """A message of byte-string fields by number; empty ones are left out, as proto3 does."""
    return b"".join(field(key, value) for key, value in fields.items())


def decode_fields(data: bytes) -> dict[int, bytes]:
    """The byte-string fields of a message by number; the last of a repeated one. Raises ValueError if malformed."""
    return {number: value for number, value in fields_of(data) if isinstance(value, bytes)}


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, text or a message; an empty one is left out, as proto3 does."""
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value if value else b""


def varint_field(number: int, value: int) -> bytes:
    """A field of an integer or a truth value; 0 is left out, as proto3 does."""
    return _varint(number << 3 | _VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF) if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields_of(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of every field in order, 32 and 64 bit values as their bytes. Raises ValueError if malformed."""
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

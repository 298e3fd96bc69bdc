"""The three protobuf messages of KubeVirt's hook API that a sidecar needs, by hand: all their fields are
length-delimited but for one number that is left at its default.

Source: KubeVirt `pkg/hooks/info/api_info.proto`, `pkg/hooks/v1alpha3/api_v1alpha3.proto`.
"""

LENGTH_DELIMITED = 2


def info(name: str, hooks: tuple[str, ...], versions: tuple[str, ...]) -> bytes:
    """InfoResult: 1 name, 3 hookPoints (1 name), 4 versions."""
    points = b"".join(field(3, field(1, hook.encode())) for hook in hooks)
    return field(1, name.encode()) + points + b"".join(field(4, version.encode()) for version in versions)


def domain_result(domain_xml: str) -> bytes:
    """OnDefineDomainResult: 1 domainXML."""
    return field(1, domain_xml.encode())


def define_domain(message: bytes) -> tuple[str, bytes]:
    """OnDefineDomainParams: 1 domainXML, 2 the VMI as JSON."""
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        size, at = varint(message, at)
        fields[key >> 3] = message[at : at + size]
        at += size
    return fields.get(1, b"").decode(), fields.get(2, b"{}")


def field(number: int, content: bytes) -> bytes:
    """One length-delimited field."""
    return encoded(number << 3 | LENGTH_DELIMITED) + encoded(len(content)) + content


def encoded(value: int) -> bytes:
    """A varint."""
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The varint at `at` and where it ends."""
    value = shift = 0
    while True:
        octet = message[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at

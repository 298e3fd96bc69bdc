"""Memory sizes as KubeVirt reads and writes them."""

from __future__ import annotations

from conformance.sandbox.quantities import parse_quantity


def to_bytes(quantity: str | int) -> int:
    """Bytes of a quantity such as `192Mi` or `1024M`; `ValueError` when it is none."""
    return int(parse_quantity(quantity).amount)


def to_kibibytes(size: int) -> str:
    """`471424Ki` for a number of bytes, rounded up."""
    return f"{-(-size // 1024)}Ki"

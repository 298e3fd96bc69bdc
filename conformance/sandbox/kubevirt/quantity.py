"""Kubernetes resource quantities, as far as memory sizes need them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_BINARY: Final[dict[str, int]] = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_DECIMAL: Final[dict[str, int]] = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_PATTERN: Final = re.compile(r"([0-9.]+)([A-Za-z]*)")


def to_bytes(quantity: str | int) -> int:
    """Bytes of a quantity such as `192Mi` or `1024M`; `ValueError` when it is none."""
    match = _PATTERN.fullmatch(str(quantity))
    factor = None if match is None else (_BINARY.get(match[2]) or _DECIMAL.get(match[2]))
    if match is None or factor is None:
        raise ValueError(f"not a resource quantity: {quantity!r}")
    return int(Decimal(match[1]) * factor)


def to_kibibytes(size: int) -> str:
    """`471424Ki` for a number of bytes, rounded up."""
    return f"{-(-size // 1024)}Ki"

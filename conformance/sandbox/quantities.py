"""Resource quantities with the arithmetic and the canonical text of Kubernetes (`500m`, `1Gi`, `2k`).

Source: the Kubernetes API reference, Quantity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

_BINARY: Final = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL: Final = {
    unit: Decimal(1000) ** power for power, unit in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)
}
_PATTERN: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?")


@dataclass(frozen=True)
class Quantity:
    """An exact amount; `binary` says that it is written in powers of 1024."""

    amount: Decimal
    binary: bool = False

    def __add__(self, other: Quantity) -> Quantity:
        """The sum, written as the first one that is not zero."""
        return Quantity(self.amount + other.amount, self.binary if self.amount else other.binary)

    def __str__(self) -> str:
        """The shortest whole number with a unit, rounded up where there is none."""
        if not self.amount:
            return "0"
        if self.binary and abs(self.amount) >= 1024:
            return _whole(self.amount.to_integral_value(ROUND_CEILING), {"": Decimal(1), **_BINARY})
        return _whole(self.amount.quantize(_DECIMAL["n"], ROUND_CEILING), _DECIMAL)


ZERO: Final = Quantity(Decimal(0))
ONE: Final = Quantity(Decimal(1))


def parse_quantity(value: object) -> Quantity:
    """The amount that a text (or a number) such as `192Mi` stands for. `ValueError` when it stands for none."""
    match = _PATTERN.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None:
        raise ValueError(
            f"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$': {value!r}"
        )
    number, unit, exponent = Decimal(match[1]), match[2] or "", match[3]
    if exponent:
        return Quantity(number.scaleb(int(exponent)))
    return Quantity(number * (_BINARY.get(unit) or _DECIMAL[unit]), unit in _BINARY)


def total(amounts: Iterable[Quantity]) -> Quantity:
    """The sum of all, zero of none."""
    return sum(amounts, start=ZERO)


def _whole(amount: Decimal, units: dict[str, Decimal]) -> str:
    unit = next(unit for unit in reversed(units) if amount % units[unit] == 0)
    return f"{int(amount / units[unit])}{unit}"

"""Quantities: what they stand for, and their canonical text."""

from __future__ import annotations

import pytest

from conformance.sandbox.quantities import ZERO, parse_quantity, total


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("0", "0"),
        ("0.5", "500m"),
        (".1", "100m"),
        ("1000m", "1"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("1e3", "1k"),
        (4, "4"),
        ("1024Mi", "1Gi"),
        ("471424Ki", "471424Ki"),
        ("1536Mi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1.5Gi", "1536Mi"),
        ("0.1n", "1n"),
        ("-1500m", "-1500m"),
    ],
)
def test_the_text_is_canonical(given: object, text: str) -> None:
    assert str(parse_quantity(given)) == text


@pytest.mark.parametrize("given", ["", "lots", "1K", "1 Gi", "1Ki2", ".", None, [], "1mm"])
def test_what_is_no_quantity(given: object) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse_quantity(given)


def test_a_sum_is_written_as_its_first_part() -> None:
    assert str(total([parse_quantity("512Mi"), parse_quantity("512Mi")])) == "1Gi"
    assert str(parse_quantity("1M") + parse_quantity("1Mi")) == "2048576"
    assert str(ZERO + parse_quantity("2Ki")) == "2Ki"

"""Figures of a migration as virsh words them."""

import pytest

from conformance.sandbox.launcher.migration import _milliseconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("61           ms", 61), ("1.204 s", 1204), ("1,204 s", 1204), ("5 min", None), (None, None)],
)
def test_downtime(text: str | None, value: int | None) -> None:
    assert _milliseconds(text) == value

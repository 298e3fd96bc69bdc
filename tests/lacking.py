"""Skips with the reasons that reports have too."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from conformance.model import SkipReason


def skip(reason: SkipReason, text: str) -> NoReturn:
    """Skip the test, with the reason's name ahead of the words."""
    pytest.skip(f"{reason.value}: {text}")


def need_root() -> None:
    """Skip what starts a sandbox where nobody may."""
    if os.geteuid():
        skip(SkipReason.ENVIRONMENT_LACKS, "the sandbox needs root")

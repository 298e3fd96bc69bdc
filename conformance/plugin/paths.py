"""Where the suites and what they provision with are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def data_root() -> Path:
    """The directory that holds ``suites`` and ``fixtures``."""
    package = Path(str(files("conformance")))
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


def suites_directory() -> Path:
    return data_root() / "suites"


def fixtures_directory() -> Path:
    return data_root() / "fixtures"

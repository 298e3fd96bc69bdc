"""``images lock --resolve``: ask the registries once, write what they say into the lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from conformance.images.lock import ImagesLock, with_values
from conformance.images.registry import Registries, RegistryError


def resolve(lock: ImagesLock, registries: Registries, progress: Callable[[str], None]) -> list[str]:
    """Fill in every digest and checksum that is missing; those that are there stay. Returns the problems, in words.

    What was resolved is kept even when something else was not.
    """
    values: dict[tuple[str, ...], str] = {}
    problems: list[str] = []
    for image in lock.images:
        if image.resolved:
            continue
        try:
            values["images", image.repository, image.tag] = registries.digest(image.name)
        except RegistryError as error:
            problems.append(str(error))
            continue
        progress(f"{image.name} is {values['images', image.repository, image.tag]}")
    for manifest in lock.manifests:
        if manifest.resolved:
            continue
        try:
            content = registries.file(manifest.url)
        except RegistryError as error:
            problems.append(str(error))
            continue
        values["manifests", manifest.name, manifest.version] = hashlib.sha256(content).hexdigest()
        progress(f"{manifest.url} is {values['manifests', manifest.name, manifest.version]}")
    if values:
        _replace(lock.path, with_values(lock.path.read_text(encoding="utf-8"), values))
    return problems


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)

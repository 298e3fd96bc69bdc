"""Third-party manifests: from their pinned address or from a directory, and the bytes that the lock names or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from conformance.images.lock import ImagesLock, LockedManifest
from conformance.images.registry import Registries, RegistryError
from conformance.kube.outcome import EnvironmentFault


class ManifestUnfit(EnvironmentFault):
    """A manifest that is not there, or not the one that the lock names."""


class Manifests:
    """Where manifests come from: ``directory`` (files as :attr:`LockedManifest.file` names them), else the network."""

    def __init__(self, lock: ImagesLock, directory: Path | None = None, registries: Registries | None = None) -> None:
        self.lock, self._directory, self._registries = lock, directory, registries or Registries()

    def content(self, manifest: LockedManifest) -> bytes:
        """The bytes. Raises ManifestUnfit when they cannot be had, or have another checksum than the lock says."""
        place, content = self._read(manifest)
        found = hashlib.sha256(content).hexdigest()
        if manifest.resolved and found != manifest.sha256:
            raise ManifestUnfit(
                f"{place}: SHA-256 {found}, the lock wants {manifest.sha256}: it was changed, or is another release; "
                f"fetch {manifest.url} anew"
            )
        return content

    def documents(self, manifest: LockedManifest) -> tuple[dict[str, Any], ...]:
        """Its objects, in the file's order."""
        try:
            found = [document for document in yaml.safe_load_all(self.content(manifest)) if document]
        except yaml.YAMLError as error:
            raise ManifestUnfit(f"{manifest.file}: not YAML: {error}") from error
        return tuple(found)

    def _read(self, manifest: LockedManifest) -> tuple[str, bytes]:
        if self._directory is None:
            try:
                return manifest.url, self._registries.file(manifest.url)
            except RegistryError as error:
                raise ManifestUnfit(
                    f"{error}; without a way there, fetch it elsewhere and give its directory with --manifests"
                ) from error
        path = self._directory / manifest.file
        try:
            return str(path), path.read_bytes()
        except OSError as error:
            raise ManifestUnfit(f"{path}: {error.strerror}; save {manifest.url} there under that name") from error

"""The provisioner of persistent volume claims: a directory that all nodes share, as a network file system would be.

Every claim is bound, whatever class, size and access modes it asks for; nothing limits what is written.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from conformance.sandbox.client import CLAIMS, ApiClient, Object
from conformance.sandbox.controller import Controller, Informer, Key


class VolumeClaims:
    """Binds claims, and removes the data of those that are gone. `directory` holds one directory a claim, by UID."""

    def __init__(self, client: ApiClient, claims: Informer, directory: Path) -> None:
        self._client, self._claims, self._directory = client, claims, directory
        self._places: dict[Key, Path] = {}
        self.controller = Controller("volume-claim", self._reconcile)
        self.controller.watch(claims)

    async def _reconcile(self, key: Key) -> float | None:
        claim = self._claims.get(*key)
        place = claim_directory(self._directory, claim) if claim is not None else None
        if (before := self._places.get(key)) is not None and before != place:
            shutil.rmtree(before, ignore_errors=True)
            del self._places[key]
        if claim is None or place is None:
            return None
        self._places[key] = place
        if (claim.get("status") or {}).get("phase") != "Bound":
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o777)
            asked = claim["spec"]
            capacity = (asked.get("resources") or {}).get("requests") or {}
            status = {"phase": "Bound", "accessModes": asked.get("accessModes") or [], "capacity": capacity}
            await self._client.merge(CLAIMS, *key, {"spec": {"volumeName": place.name}})
            await self._client.merge(CLAIMS, *key, {"status": status}, "status")
        return None


def claim_directory(directory: Path, claim: Object) -> Path:
    """Where a claim's data are."""
    return directory / f"pvc-{claim['metadata']['uid']}"

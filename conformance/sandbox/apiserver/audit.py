"""The audit log: who asked for what, one `audit.k8s.io/v1` event a line, at level Metadata.

An event is written at stage ResponseStarted for a watch or a stream, which may never end, and at ResponseComplete for
all others, as Kubernetes' log backend writes them. Source: Kubernetes documentation, Auditing; `audit.k8s.io/v1` Event.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.auth import Attributes

_REFERENCE: Final = (
    ("resource", "resource"),
    ("namespace", "namespace"),
    ("name", "name"),
    ("apiGroup", "group"),
    ("apiVersion", "version"),
    ("subresource", "subresource"),
)


class AuditLog:
    """Appends events to a file; each is there as soon as its request has been answered."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, request: web.BaseRequest, user: User, wanted: Attributes, code: int, *, ended: bool = True) -> None:
        """One request of a user, and the status code that it got."""
        event = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": str(uuid.uuid4()),
            "stage": "ResponseComplete" if ended else "ResponseStarted",
            "requestURI": request.path_qs,
            "verb": wanted.verb,
            "user": {"username": user.name, "uid": user.uid, "groups": list(user.groups)},
            "userAgent": request.headers.get("User-Agent", ""),
            **({"objectRef": _reference(wanted)} if wanted.resource else {}),
            "responseStatus": {"metadata": {}, "code": code},
            "stageTimestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        self._file.write(orjson.dumps(event) + b"\n")

    def close(self) -> None:
        self._file.close()


def _reference(wanted: Attributes) -> dict[str, str]:
    return {name: value for name, field in _REFERENCE if (value := getattr(wanted, field))}

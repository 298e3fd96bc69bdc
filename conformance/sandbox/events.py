"""Kubernetes Events, recorded as components record them: repeats raise a count."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

import aiohttp

from conformance.sandbox.client import EVENTS, ApiClient, ApiError, Object

log = logging.getLogger(__name__)

_REMEMBERED: Final = 4096


def timestamp() -> str:
    """Now, as Kubernetes writes times: RFC 3339, whole seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class EventRecorder:
    """Writes Events in the name of one component, optionally of one host."""

    def __init__(self, client: ApiClient, component: str, host: str | None = None) -> None:
        self._client, self._component, self._host = client, component, host
        self._seen: dict[tuple[str, ...], tuple[str, int]] = {}

    async def normal(self, obj: Object, reason: str, message: str, field_path: str = "") -> None:
        await self._record(obj, "Normal", reason, message, field_path)

    async def warning(self, obj: Object, reason: str, message: str, field_path: str = "") -> None:
        await self._record(obj, "Warning", reason, message, field_path)

    async def _record(self, obj: Object, kind: str, reason: str, message: str, field_path: str) -> None:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "default")
        key = (meta.get("uid", ""), kind, reason, message, field_path)
        try:
            if known := self._seen.get(key):
                name, count = known[0], known[1] + 1
                patch = {"count": count, "lastTimestamp": timestamp()}
                await self._client.merge(EVENTS, namespace, name, patch)
                self._seen[key] = (name, count)
                return
            created = await self._client.create(EVENTS, self._event(obj, kind, reason, message, field_path))
        except (ApiError, aiohttp.ClientError) as error:  # an event lost is no reason to fail what it tells of
            log.debug("event %s on %s not recorded: %s", reason, meta["name"], error)
            self._seen.pop(key, None)
            return
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = (created["metadata"]["name"], 1)

    def _event(self, obj: Object, kind: str, reason: str, message: str, field_path: str) -> Object:
        meta, now = obj["metadata"], timestamp()
        namespace = meta.get("namespace", "default")
        involved = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta.get("uid")}
        involved |= {"namespace": namespace} | ({"fieldPath": field_path} if field_path else {})
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}.", "namespace": namespace},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": source,
            "reportingComponent": self._component,
            "reportingInstance": self._host or "",
        }

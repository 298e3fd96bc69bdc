"""Keeps `status` of every ResourceQuota as the pods of its namespace are, within the write that changes them."""

from __future__ import annotations

import logging

from conformance.sandbox.apiserver.errors import KubeObject, StatusError
from conformance.sandbox.apiserver.kinds import PODS, QUOTAS
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import INTERNAL, private_copy
from conformance.sandbox.apiserver.quotas import hard_limits, used_of
from conformance.sandbox.apiserver.store import Change

log = logging.getLogger(__name__)


class QuotaStatus:
    """Made after every other listener of the store: they see a change before the status that follows from it."""

    def __init__(self, operations: Operations) -> None:
        self._operations, self._store = operations, operations.store
        self._store.listen(self._observe)

    def _observe(self, change: Change) -> None:
        if change.key in (PODS, QUOTAS):
            for quota in self._store.list(QUOTAS, change.object["metadata"]["namespace"]):
                self._sync(quota)

    def _sync(self, quota: KubeObject) -> None:
        resource = self._operations.registry.by_key(QUOTAS)
        if resource is None:
            return
        current = private_copy(quota)
        parts = {"hard": hard_limits(quota), "used": used_of(self._store, quota)}
        current["status"] = {part: {key: str(v) for key, v in amounts.items()} for part, amounts in parts.items()}
        try:
            self._operations.update(resource, quota, current, INTERNAL.on("status"))
        except StatusError as error:
            log.warning("quota %s: %s", quota["metadata"]["name"], error)

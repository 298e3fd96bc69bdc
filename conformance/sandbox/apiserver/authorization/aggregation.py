"""ClusterRoles made of others: the rules of an aggregated one are those of all that its selectors match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.sandbox.apiserver.authorization.policy import CLUSTER_ROLES
from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import INTERNAL, private_copy


class Aggregation:
    """Keeps them up to date."""

    def __init__(self, operations: Operations) -> None:
        self._operations, self._store = operations, operations.store

    def sync(self) -> None:
        """Call it when any ClusterRole has changed."""
        roles = self._store.list(CLUSTER_ROLES)
        for role in roles:
            if role.get("aggregationRule"):
                self._fill(role, roles)

    def _fill(self, role: KubeObject, roles: list[KubeObject]) -> None:
        selectors = role["aggregationRule"].get("clusterRoleSelectors") or []
        rules: list[dict[str, Any]] = []
        for other in roles:
            labels = other["metadata"].get("labels") or {}
            if other is role or not any(_selects(selector, labels) for selector in selectors):
                continue
            rules += [dict(rule) for rule in other.get("rules") or [] if rule not in rules]
        resource = self._operations.registry.by_key(CLUSTER_ROLES)
        if resource is not None and rules != (role.get("rules") or []):
            filled = private_copy(role)
            filled["rules"] = rules
            self._operations.update(resource, role, filled, INTERNAL)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A `metav1.LabelSelector`; an empty one selects everything."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(requirement, labels) for requirement in selector.get("matchExpressions") or ()
    )


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = str(requirement["key"]), str(requirement["operator"])
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    return (labels.get(key) in (requirement.get("values") or ())) == (operator == "In")

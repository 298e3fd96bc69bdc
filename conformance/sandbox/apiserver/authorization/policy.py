"""The authorizer: a user's rules from the bindings that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.auth import Attributes, Decision
from conformance.sandbox.apiserver.authorization.rules import Rule
from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.resources import ResourceKey
from conformance.sandbox.apiserver.store import Change, Store

RBAC = "rbac.authorization.k8s.io"
ROLES: ResourceKey = (RBAC, "roles")
CLUSTER_ROLES: ResourceKey = (RBAC, "clusterroles")
ROLE_BINDINGS: ResourceKey = (RBAC, "rolebindings")
CLUSTER_ROLE_BINDINGS: ResourceKey = (RBAC, "clusterrolebindings")

MASTERS = "system:masters"
"""Members of this group may do everything, whatever the roles say."""

Granted = tuple[Rule, str]
"""A rule, and how it came to the user, in the words of an access review."""


class RbacAuthorizer:
    """Decides by Roles, ClusterRoles and their bindings. An `Authorizer`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[User, str], tuple[Granted, ...]] = {}
        store.listen(self._forget)

    def __call__(self, user: User, attributes: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        for rule, reason in self._granted(user, attributes.namespace):
            if rule.allows(attributes):
                return Decision(True, reason)
        return Decision(False)

    def rules(self, user: User, namespace: str) -> tuple[Rule, ...]:
        """What a user may do in a namespace (empty: cluster-wide only)."""
        if MASTERS in user.groups:
            return (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))
        return tuple(rule for rule, _ in self._granted(user, namespace))

    def role_rules(self, reference: Mapping[str, Any], namespace: str) -> tuple[Rule, ...] | None:
        """The rules of the role that a roleRef names; None when there is no such role."""
        clustered = reference["kind"] == "ClusterRole"
        key, place = (CLUSTER_ROLES, "") if clustered else (ROLES, namespace)
        role = self._store.get(key, place, str(reference["name"]))
        return None if role is None else tuple(map(Rule.of, role.get("rules") or ()))

    def _forget(self, change: Change) -> None:
        if change.key[0] == RBAC:
            self._known.clear()

    def _granted(self, user: User, namespace: str) -> tuple[Granted, ...]:
        known = self._known.get((user, namespace))
        if known is None:
            if len(self._known) > 1_000:
                self._known.clear()
            known = self._known[user, namespace] = tuple(self._resolve(user, namespace))
        return known

    def _resolve(self, user: User, namespace: str) -> Iterator[Granted]:
        bindings = [("ClusterRoleBinding", binding) for binding in self._store.list(CLUSTER_ROLE_BINDINGS)]
        if namespace:
            bindings += [("RoleBinding", binding) for binding in self._store.list(ROLE_BINDINGS, namespace)]
        for kind, binding in bindings:
            place = binding["metadata"].get("namespace", "")
            subject = next((s for s in binding.get("subjects") or () if _names(s, user, place)), None)
            if subject is None:
                continue
            reason = _reason(kind, binding, subject)
            for rule in self.role_rules(binding["roleRef"], place) or ():
                yield rule, reason


def _names(subject: Mapping[str, Any], user: User, namespace: str) -> bool:
    """Whether a binding's subject is this user, or a group of theirs."""
    kind, name = subject["kind"], subject["name"]
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    place = subject.get("namespace") or namespace
    return kind == "ServiceAccount" and bool(place) and user.name == f"system:serviceaccount:{place}:{name}"


def _reason(kind: str, binding: KubeObject, subject: Mapping[str, Any]) -> str:
    metadata, role = binding["metadata"], binding["roleRef"]
    name = "/".join(filter(None, (metadata["name"], metadata.get("namespace"))))
    of = "/".join(filter(None, (subject["name"], subject.get("namespace"))))
    return f'RBAC: allowed by {kind} "{name}" of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{of}"'

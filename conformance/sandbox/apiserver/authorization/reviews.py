"""The access reviews: may I, may they, and what all may I."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.auth import Attributes
from conformance.sandbox.apiserver.authorization.policy import RbacAuthorizer
from conformance.sandbox.apiserver.errors import KubeObject, bad_request


class AccessReviews:
    """Each answers with the `status` of one review kind."""

    def __init__(self, authorizer: RbacAuthorizer) -> None:
        self._authorizer = authorizer

    def of_self(self, body: KubeObject, user: User) -> KubeObject:
        """SelfSubjectAccessReview."""
        return self._answer(user, _attributes(_section(body, "spec")))

    def of_other(self, body: KubeObject, user: User) -> KubeObject:
        """SubjectAccessReview and its namespaced twin."""
        spec = _section(body, "spec")
        if not spec.get("user") and not spec.get("groups"):
            raise bad_request("SubjectAccessReview: at least one of user or group must be specified")
        subject = User(str(spec.get("user", "")), str(spec.get("uid", "")), tuple(map(str, spec.get("groups") or ())))
        return self._answer(subject, _attributes(spec))

    def rules_of_self(self, body: KubeObject, user: User) -> KubeObject:
        """SelfSubjectRulesReview."""
        namespace = str(_section(body, "spec").get("namespace") or "")
        if not namespace:
            raise bad_request("no namespace on request")
        rules = self._authorizer.rules(user, namespace)
        return {
            "resourceRules": [rule.to_json() for rule in rules if rule.resources],
            "nonResourceRules": [rule.to_json() for rule in rules if rule.urls],
            "incomplete": False,
        }

    def _answer(self, user: User, attributes: Attributes) -> KubeObject:
        decision = self._authorizer(user, attributes)
        return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}


def _attributes(spec: Mapping[str, Any]) -> Attributes:
    """What an access review asks about."""
    resource, plain = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(resource) == bool(plain):
        raise bad_request("spec: exactly one of nonResourceAttributes or resourceAttributes must be specified")
    asked = resource or plain
    if not isinstance(asked, dict):
        raise bad_request("spec: the attributes must be an object")
    names = ("group", "version", "resource", "subresource", "namespace", "name") if resource else ("path",)
    return Attributes(verb=str(asked.get("verb", "")), **{name: str(asked.get(name, "")) for name in names})


def _section(body: KubeObject, name: str) -> dict[str, Any]:
    section = body.get(name) or {}
    if not isinstance(section, dict):
        raise bad_request(f"{name} must be an object")
    return section

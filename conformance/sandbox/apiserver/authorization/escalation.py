"""Nobody gives rights they do not have: the check of writes to roles and bindings, and their validation.

It sits in front of the admission function, where the writer is known. Source: Kubernetes documentation, "Privilege
escalation prevention and bootstrapping".
"""

from __future__ import annotations

from typing import Any

from conformance.sandbox.apiserver.admission import AdmissionHook, AdmissionRequest
from conformance.sandbox.apiserver.auth import Attributes
from conformance.sandbox.apiserver.authorization.policy import MASTERS, RBAC, RbacAuthorizer
from conformance.sandbox.apiserver.authorization.rules import Rule, missing, quoted
from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError

_KINDS = {
    "roles": "Role",
    "clusterroles": "ClusterRole",
    "rolebindings": "RoleBinding",
    "clusterrolebindings": "ClusterRoleBinding",
}


class EscalationGuard:
    """Wraps an admission function."""

    def __init__(self, authorizer: RbacAuthorizer, hook: AdmissionHook) -> None:
        self._authorizer, self._hook = authorizer, hook

    def __call__(self, request: AdmissionRequest) -> KubeObject | None:
        if request.group == RBAC and request.object is not None:
            self._review(request, request.object)
        return self._hook(request)

    def _review(self, request: AdmissionRequest, obj: KubeObject) -> None:
        binding = request.resource.endswith("bindings")
        causes = _binding_causes(obj, request.old_object) if binding else _rule_causes(request, obj)
        if causes:
            listed = "; ".join(f"{cause.field}: {cause.message}" for cause in causes)
            text = f'{_KINDS[request.resource]}.{RBAC} "{request.name}" is invalid: {listed}'
            kind = _KINDS[request.resource]
            raise StatusError(422, "Invalid", text, name=request.name, group=RBAC, kind=kind, causes=causes)
        if MASTERS in request.user.groups or _unchanged(obj, request.old_object):
            return
        if binding:
            self._review_binding(request, obj["roleRef"])
        elif not self._may(request, "escalate", request.resource, request.name):
            wanted = list(map(Rule.of, obj.get("rules") or ()))
            if obj.get("aggregationRule"):
                wanted += [Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",))]
            self._refuse_missing(request, wanted)

    def _review_binding(self, request: AdmissionRequest, reference: dict[str, Any]) -> None:
        resource = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
        if self._may(request, "bind", resource, str(reference["name"])):
            return
        rules = self._authorizer.role_rules(reference, request.namespace)
        if rules is None:
            text = f'{resource}.{RBAC} "{reference["name"]}" not found'
            raise StatusError(404, "NotFound", text, name=str(reference["name"]), group=RBAC, kind=resource)
        self._refuse_missing(request, list(rules))

    def _may(self, request: AdmissionRequest, verb: str, resource: str, name: str) -> bool:
        wanted = Attributes(verb, RBAC, "v1", resource, namespace=request.namespace, name=name)
        return self._authorizer(request.user, wanted).allowed

    def _refuse_missing(self, request: AdmissionRequest, wanted: list[Rule]) -> None:
        lacking = missing(self._authorizer.rules(request.user, request.namespace), wanted)
        if not lacking:
            return
        user = request.user
        listed = "\n".join(sorted(map(str, lacking)))
        text = (
            f'{request.resource}.{RBAC} "{request.name}" is forbidden: user "{user.name}" (groups='
            f"{quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n{listed}"
        )
        raise StatusError(403, "Forbidden", text, name=request.name, group=RBAC, kind=request.resource)


def _unchanged(obj: KubeObject, old: KubeObject | None) -> bool:
    """Whether an update leaves alone what gives rights."""
    parts = ("rules", "aggregationRule", "roleRef", "subjects")
    return old is not None and all((obj.get(part) or None) == (old.get(part) or None) for part in parts)


def _rule_causes(request: AdmissionRequest, obj: KubeObject) -> list[Cause]:
    causes = []
    for index, rule in enumerate(map(Rule.of, obj.get("rules") or ())):
        at = f"rules[{index}]"
        if not rule.verbs:
            causes.append(_required(f"{at}.verbs", "verbs must contain at least one value"))
        if rule.urls and request.resource == "roles":
            text = f"Invalid value: {list(rule.urls)}: namespaced rules cannot apply to non-resource URLs"
            causes.append(Cause("FieldValueInvalid", text, f"{at}.nonResourceURLs"))
        elif rule.urls and (rule.groups or rule.resources or rule.names):
            text = (
                f"Invalid value: {list(rule.urls)}: rules cannot apply to both regular resources and non-resource URLs"
            )
            causes.append(Cause("FieldValueInvalid", text, f"{at}.nonResourceURLs"))
        elif not rule.urls:
            if not rule.groups:
                causes.append(_required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
            if not rule.resources:
                causes.append(_required(f"{at}.resources", "resource rules must supply at least one resource"))
    return causes


def _binding_causes(obj: KubeObject, old: KubeObject | None) -> list[Cause]:
    causes = []
    if old is not None and obj["roleRef"] != old["roleRef"]:
        causes.append(Cause("FieldValueInvalid", f"Invalid value: {obj['roleRef']}: cannot change roleRef", "roleRef"))
    if obj["roleRef"]["kind"] not in ("Role", "ClusterRole"):
        supported = '"Role", "ClusterRole"' if obj["metadata"].get("namespace") else '"ClusterRole"'
        text = f'Unsupported value: "{obj["roleRef"]["kind"]}": supported values: {supported}'
        causes.append(Cause("FieldValueNotSupported", text, "roleRef.kind"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        at = f"subjects[{index}]"
        if subject["kind"] not in ("User", "Group", "ServiceAccount"):
            text = f'Unsupported value: "{subject["kind"]}": supported values: "ServiceAccount", "User", "Group"'
            causes.append(Cause("FieldValueNotSupported", text, f"{at}.kind"))
        elif subject["kind"] == "ServiceAccount" and not (subject.get("namespace") or obj["metadata"].get("namespace")):
            causes.append(_required(f"{at}.namespace", ""))
    return causes


def _required(field: str, text: str) -> Cause:
    return Cause("FieldValueRequired", f"Required value{': ' if text else ''}{text}", field)

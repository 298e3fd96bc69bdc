"""An admission function for the contract suite: it acts only on objects that carry its annotations."""

from __future__ import annotations

from conformance.sandbox.apiserver.admission import AdmissionDenied, AdmissionRequest
from conformance.sandbox.apiserver.errors import Cause, KubeObject

PREFIX = "hook.example.com"


def review(request: AdmissionRequest) -> KubeObject | None:
    """Deny, change, warn or look something up, as the annotation `hook.example.com/do` says."""
    subject = request.object or request.old_object or {}
    order = ((subject.get("metadata") or {}).get("annotations") or {}).get(f"{PREFIX}/do", "")
    if request.subresource == "eviction":
        return _review_eviction(request)
    if order == "deny":
        cause = Cause("FieldValueInvalid", "size is not liked", "spec.size")
        raise AdmissionDenied(
            422, 'admission webhook "hook.example.com" denied the request: size is not liked', [cause]
        )
    if order == f"deny-{request.operation}":
        raise AdmissionDenied(400, f'admission webhook "hook.example.com" denied the request: no {request.operation}')
    if order == "describe" and request.object is not None:
        seen = f"{request.operation} {request.user.name} {request.resource} {request.namespace}"
        request.object["metadata"].setdefault("labels", {})["seen-by"] = request.user.name
        request.warnings.append(seen)
    if order == "look" and request.object is not None:
        found = request.lookup("", "namespaces", "", request.namespace)
        request.object["spec"]["mode"] = "b" if found else "a"
    return request.object


def _review_eviction(request: AdmissionRequest) -> KubeObject | None:
    pod = request.lookup("", "pods", request.namespace, request.name)
    labels = ((pod or {}).get("metadata") or {}).get("labels") or {}
    if labels.get("protected"):
        raise AdmissionDenied(
            429, 'admission webhook "hook.example.com" denied the request: Eviction triggered evacuation'
        )
    return request.object

"""Reads the few request bodies that kubectl sends as protobuf and nothing else.

`kubectl create namespace|configmap|secret|role|...`, `kubectl auth` and evictions use typed clients that encode their
bodies so, with no way back to JSON. Answers are always JSON, which these clients accept. Source of the field numbers:
the `generated.proto` files of the Kubernetes API packages.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from conformance.protowire import decode_fields, fields_of
from conformance.sandbox.apiserver.errors import KubeObject

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"


class UnknownKindError(Exception):
    """The body is of a kind that is only understood as JSON."""


class _Field(NamedTuple):
    """`type` is text, bytes, number, flag, textMap, bytesMap or the name of a message."""

    name: str
    type: str = "text"
    repeated: bool = False


_Message = Mapping[int, _Field]

_MESSAGES: dict[str, _Message] = {
    "ObjectMeta": {
        1: _Field("name"),
        2: _Field("generateName"),
        3: _Field("namespace"),
        5: _Field("uid"),
        6: _Field("resourceVersion"),
        11: _Field("labels", "textMap"),
        12: _Field("annotations", "textMap"),
        13: _Field("ownerReferences", "OwnerReference", repeated=True),
        14: _Field("finalizers", repeated=True),
    },
    "OwnerReference": {
        1: _Field("kind"),
        3: _Field("name"),
        4: _Field("uid"),
        5: _Field("apiVersion"),
        6: _Field("controller", "flag"),
        7: _Field("blockOwnerDeletion", "flag"),
    },
    "DeleteOptions": {
        1: _Field("gracePeriodSeconds", "number"),
        2: _Field("preconditions", "Preconditions"),
        3: _Field("orphanDependents", "flag"),
        4: _Field("propagationPolicy"),
        5: _Field("dryRun", repeated=True),
    },
    "Preconditions": {1: _Field("uid"), 2: _Field("resourceVersion")},
    "Namespace": {1: _Field("metadata", "ObjectMeta")},
    "ConfigMap": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("data", "textMap"),
        3: _Field("binaryData", "bytesMap"),
        4: _Field("immutable", "flag"),
    },
    "Secret": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("data", "bytesMap"),
        3: _Field("type"),
        4: _Field("stringData", "textMap"),
        5: _Field("immutable", "flag"),
    },
    "ServiceAccount": {1: _Field("metadata", "ObjectMeta"), 4: _Field("automountServiceAccountToken", "flag")},
    "TokenRequest": {1: _Field("metadata", "ObjectMeta"), 2: _Field("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {1: _Field("audiences", repeated=True), 4: _Field("expirationSeconds", "number")},
    "Eviction": {1: _Field("metadata", "ObjectMeta"), 2: _Field("deleteOptions", "DeleteOptions")},
    "SelfSubjectReview": {1: _Field("metadata", "ObjectMeta")},
    "SelfSubjectAccessReview": {1: _Field("metadata", "ObjectMeta"), 2: _Field("spec", "AccessReviewSpec")},
    "AccessReviewSpec": {
        1: _Field("resourceAttributes", "ResourceAttributes"),
        2: _Field("nonResourceAttributes", "NonResourceAttributes"),
        3: _Field("user"),
        4: _Field("groups", repeated=True),
        6: _Field("uid"),
    },
    "SelfSubjectRulesReview": {1: _Field("metadata", "ObjectMeta"), 2: _Field("spec", "RulesReviewSpec")},
    "RulesReviewSpec": {1: _Field("namespace")},
    "ResourceAttributes": {
        1: _Field("namespace"),
        2: _Field("verb"),
        3: _Field("group"),
        4: _Field("version"),
        5: _Field("resource"),
        6: _Field("subresource"),
        7: _Field("name"),
    },
    "NonResourceAttributes": {1: _Field("path"), 2: _Field("verb")},
    "Role": {1: _Field("metadata", "ObjectMeta"), 2: _Field("rules", "PolicyRule", repeated=True)},
    "PolicyRule": {
        1: _Field("verbs", repeated=True),
        2: _Field("apiGroups", repeated=True),
        3: _Field("resources", repeated=True),
        4: _Field("resourceNames", repeated=True),
        5: _Field("nonResourceURLs", repeated=True),
    },
    "RoleBinding": {
        1: _Field("metadata", "ObjectMeta"),
        2: _Field("subjects", "Subject", repeated=True),
        3: _Field("roleRef", "RoleRef"),
    },
    "Subject": {1: _Field("kind"), 2: _Field("apiGroup"), 3: _Field("name"), 4: _Field("namespace")},
    "RoleRef": {1: _Field("apiGroup"), 2: _Field("kind"), 3: _Field("name")},
    "TypeMeta": {1: _Field("apiVersion"), 2: _Field("kind")},
    "Unknown": {1: _Field("typeMeta", "TypeMeta"), 2: _Field("raw", "bytes")},
}
_SAME_SHAPE = {
    "ClusterRole": "Role",
    "ClusterRoleBinding": "RoleBinding",
    "SubjectAccessReview": "SelfSubjectAccessReview",
    "LocalSubjectAccessReview": "SelfSubjectAccessReview",
}


def decode(data: bytes) -> KubeObject:
    """The object in a protobuf body. ValueError when it is malformed, UnknownKindError for other kinds."""
    if not data.startswith(MAGIC):
        raise ValueError("the body does not start with the Kubernetes protobuf magic number")
    envelope = _message(data[len(MAGIC) :], "Unknown")
    types = envelope.get("typeMeta") or {}
    kind = types.get("kind", "")
    shape = _SAME_SHAPE.get(kind, kind)
    if "metadata" not in [field.name for field in _MESSAGES.get(shape, {}).values()] and kind != "DeleteOptions":
        raise UnknownKindError(kind)
    return {**types, **_message(base64.b64decode(envelope.get("raw", "")), shape)}


def _message(data: bytes, name: str) -> dict[str, Any]:
    """The known fields of a message as JSON; empty texts, which stand for absence, are left out."""
    fields = _MESSAGES[name]
    result: dict[str, Any] = {}
    for number, value in fields_of(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.type in ("number", "flag"):
            if not isinstance(value, int):
                raise ValueError(f"{field.name}: want a number")
            result[field.name] = bool(value) if field.type == "flag" else value
            continue
        if not isinstance(value, bytes):
            raise ValueError(f"{field.name}: want a length-delimited value")
        if field.type.endswith("Map"):
            key, entry = _entry(value, field.type == "bytesMap")
            result.setdefault(field.name, {})[key] = entry
        elif field.repeated:
            result.setdefault(field.name, []).append(_single(value, field.type))
        elif value or field.type != "text":
            result[field.name] = _single(value, field.type)
    return result


def _single(value: bytes, kind: str) -> object:
    if kind == "text":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return _message(value, kind)


def _entry(data: bytes, as_bytes: bool) -> tuple[str, str]:
    """A map entry: key 1, value 2."""
    parts = decode_fields(data)
    value = parts.get(2, b"")
    return parts.get(1, b"").decode(), base64.b64encode(value).decode() if as_bytes else value.decode()

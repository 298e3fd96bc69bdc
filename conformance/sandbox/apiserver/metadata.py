"""`metadata`: its types, and the rules for names, labels, annotations, finalizers and owner references.

Source: Kubernetes API conventions ("Metadata") and the texts of a v1.36 API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import jsonschema_rs

from conformance.sandbox.apiserver.errors import Cause, KubeObject, bad_request
from conformance.sandbox.apiserver.schema import field_path, type_name

NameRule = Literal["subdomain", "label", "path"]

_TEXT = {"type": ["string", "null"]}
_TEXT_MAP = {"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}}
_TEXT_FIELDS = ("name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid")

METADATA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {"type": "object", "properties": {name: {"type": "string"} for name in _OWNER_FIELDS}},
        },
    },
}
"""How ownership and merging treat `metadata` (a structural schema of the parts that clients may own)."""

_TYPES = jsonschema_rs.validator_for(
    {
        "type": "object",
        "properties": {
            **dict.fromkeys(_TEXT_FIELDS, _TEXT),
            "labels": _TEXT_MAP,
            "annotations": _TEXT_MAP,
            "finalizers": {"type": ["array", "null"], "items": {"type": "string"}},
            "ownerReferences": {
                "type": ["array", "null"],
                "items": {"type": "object", "properties": {name: {"type": "string"} for name in _OWNER_FIELDS}},
            },
            "managedFields": {"type": ["array", "null"], "items": {"type": "object"}},
        },
    }
)
_GO_TYPES = {"string": "string", "object": "map[string]string", "array": "[]string"}

_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MAX_ANNOTATIONS = 256 * 1024


def now() -> str:
    """The present as `metav1.Time`: RFC 3339, UTC, whole seconds."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    """A moment as `metav1.Time`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_metadata(obj: KubeObject, kind: str, version: str) -> dict[str, Any]:
    """Normalise `metadata` in place (nulls dropped, always a map) and return it.

    Raises StatusError 400 when a part has the wrong JSON type, as decoding into the Go type does.
    """
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = {}
    for error in _TYPES.iter_errors(metadata):
        where = field_path(["metadata", *error.instance_path])
        wanted = next((kind for kind in _wanted(error) if kind != "null"), "object")
        raise bad_request(
            f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal '
            f"{type_name(error.instance)} into Go struct field {kind}.{where} of type {_GO_TYPES.get(wanted, wanted)}"
        )
    cleaned = {key: value for key, value in metadata.items() if value is not None}
    for key in ("labels", "annotations"):
        if key in cleaned:
            cleaned[key] = {name: value or "" for name, value in cleaned[key].items()}
    obj["metadata"] = cleaned
    return cleaned


def _wanted(error: jsonschema_rs.ValidationError) -> list[str]:
    types = error.kind.value
    return [types] if isinstance(types, str) else [str(name) for name in types]


def metadata_causes(metadata: dict[str, Any], previous: dict[str, Any] | None, rule: NameRule) -> list[Cause]:
    """What is wrong with decoded metadata; `previous` is the stored one of an update."""
    return [
        *_name_causes(metadata, rule),
        *_label_causes(metadata.get("labels") or {}),
        *_annotation_causes(metadata.get("annotations") or {}),
        *_finalizer_causes(metadata, previous),
        *_owner_causes(metadata),
    ]


def _name_causes(metadata: dict[str, Any], rule: NameRule) -> Iterator[Cause]:
    name = metadata.get("name") or ""
    if not name:
        yield Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
    elif text := _name_fault(name, rule):
        yield Cause("FieldValueInvalid", f'Invalid value: "{name}": {text}', "metadata.name")


def _name_fault(name: str, rule: NameRule) -> str:
    if rule == "path":
        faulty = name in (".", "..") or "/" in name or "%" in name
        return "may not contain '/' or '%', nor be '.' or '..'" if faulty else ""
    if rule == "label":
        if len(name) <= 63 and _DNS_LABEL.fullmatch(name):
            return ""
        return (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
            f"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
            f"'{_DNS_LABEL.pattern}')"
        )
    if len(name) > 253:
        return "must be no more than 253 bytes"
    if _SUBDOMAIN.fullmatch(name):
        return ""
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        f"'{_SUBDOMAIN.pattern}')"
    )


def _qualified_name_fault(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return (
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
            "'.', and must start and end with an alphanumeric character"
        )
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    if not _NAME_PART.fullmatch(name):
        return (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_NAME_PART.pattern}')"
        )
    return ""


def _label_causes(labels: dict[str, str]) -> Iterator[Cause]:
    for key, value in labels.items():
        if text := _qualified_name_fault(key):
            yield Cause("FieldValueInvalid", f'Invalid value: "{key}": {text}', "metadata.labels")
        if len(value) > 63:
            text = "must be no more than 63 bytes"
            yield Cause("FieldValueInvalid", f'Invalid value: "{value}": {text}', "metadata.labels")
        elif not _LABEL_VALUE.fullmatch(value):
            text = (
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
                "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex "
                f"used for validation is '{_LABEL_VALUE.pattern}')"
            )
            yield Cause("FieldValueInvalid", f'Invalid value: "{value}": {text}', "metadata.labels")


def _annotation_causes(annotations: dict[str, str]) -> Iterator[Cause]:
    for key in annotations:
        if text := _qualified_name_fault(key.lower()):
            yield Cause("FieldValueInvalid", f'Invalid value: "{key}": {text}', "metadata.annotations")
    if sum(len(key) + len(value) for key, value in annotations.items()) > _MAX_ANNOTATIONS:
        message = f"Too long: may not be more than {_MAX_ANNOTATIONS} bytes"
        yield Cause("FieldValueTooLong", message, "metadata.annotations")


def _finalizer_causes(metadata: dict[str, Any], previous: dict[str, Any] | None) -> Iterator[Cause]:
    finalizers = metadata.get("finalizers") or []
    for name in finalizers:
        if text := _qualified_name_fault(name):
            yield Cause("FieldValueInvalid", f'Invalid value: "{name}": {text}', "metadata.finalizers")
    if previous and previous.get("deletionTimestamp"):
        added = [name for name in finalizers if name not in (previous.get("finalizers") or [])]
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{listed}}}"
            )
            yield Cause("FieldValueForbidden", message, "metadata.finalizers")


def _owner_causes(metadata: dict[str, Any]) -> Iterator[Cause]:
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        for key in _OWNER_FIELDS:
            if not owner.get(key):
                where = f"metadata.ownerReferences[{index}].{key}"
                yield Cause("FieldValueInvalid", f'Invalid value: "": {key} must not be empty', where)

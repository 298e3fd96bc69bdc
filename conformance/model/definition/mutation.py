"""Applies the patches of a mutant: RFC 6902 operations on a definition and on the objects of its manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import jsonpatch
import jsonpointer

from conformance.model.definition.files import OperationFile, PatchFile, PatchTargetFile
from conformance.model.definition.findings import FieldPath, Findings
from conformance.model.definition.manifests import Manifest
from conformance.model.jsonvalue import JsonObject, JsonValue
from conformance.model.registration import copy_json

_PATCHES: FieldPath = ("spec", "patches")


def patch_definition(data: JsonObject, patches: Sequence[PatchFile], findings: Findings) -> JsonObject:
    """Return a definition with the patches that target it applied."""
    for index, patch in enumerate(patches):
        if _is_sound(patch.target, (*_PATCHES, index, "target"), findings) and patch.target.definition:
            data = _patch_object(data, patch, (*_PATCHES, index), findings)
    return data


def patch_manifests(manifests: Sequence[Manifest], patches: Sequence[PatchFile], findings: Findings) -> list[Manifest]:
    """Return the manifests with the patches that target one of them applied."""
    result = list(manifests)
    for index, patch in enumerate(patches):
        path = (*_PATCHES, index)
        if patch.target.definition or not (patch.target.kind and patch.target.name):
            continue
        position = _find(result, patch.target, (*path, "target"), findings)
        if position is not None:
            found = result[position]
            result[position] = replace(found, data=_patch_object(found.data, patch, path, findings))
    return result


def _is_sound(target: PatchTargetFile, path: FieldPath, findings: Findings) -> bool:
    by_name = bool(target.kind and target.name)
    if bool(target.definition) != by_name and not (target.definition and target.kind):
        return True
    fix = "write definition: true, or kind and name of an object of the manifests"
    findings.error(path, "the target is neither the definition nor one object", fix)
    return False


def _find(manifests: Sequence[Manifest], target: PatchTargetFile, path: FieldPath, findings: Findings) -> int | None:
    matches = [
        index
        for index, manifest in enumerate(manifests)
        if (manifest.kind, manifest.name) == (target.kind, target.name)
        and target.namespace in (None, manifest.namespace)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        findings.error(path, "more than one object has this kind and name", "add namespace")
    else:
        there = ", ".join(map(str, manifests)) or "no objects at all"
        findings.error(path, "no object of the manifests has this kind and name", f"the base brings {there}")
    return None


def _patch_object(data: JsonObject, patch: PatchFile, path: FieldPath, findings: Findings) -> JsonObject:
    pointer = patch.target.json_field
    if pointer is None:
        patched = _apply(data, patch.operations, path, findings)
    else:
        patched = _patch_inner(data, pointer, patch.operations, path, findings)
    if isinstance(patched, dict):
        return patched
    findings.error(path, "the patch leaves no object", "patch its fields instead")
    return data


def _patch_inner(
    data: JsonObject, pointer: str, operations: Sequence[OperationFile], path: FieldPath, findings: Findings
) -> JsonValue:
    """Patch the JSON document that a string of the object holds."""
    target = (*path, "target", "jsonField")
    try:
        text = jsonpointer.resolve_pointer(data, pointer)
        inner: JsonValue = json.loads(text)
    except jsonpointer.JsonPointerException as error:
        findings.error(target, f"there is no such field: {error}", "correct the pointer")
        return data
    except (TypeError, ValueError) as error:
        findings.error(target, f"the field holds no JSON text: {error}", "point to a string that holds JSON")
        return data
    inner = _apply(inner, operations, path, findings)
    result = copy_json(data)
    jsonpointer.set_pointer(result, pointer, json.dumps(inner))
    return result


def _apply(document: JsonValue, operations: Sequence[OperationFile], path: FieldPath, findings: Findings) -> JsonValue:
    """Apply operations one by one, up to the first that does not apply."""
    for index, operation in enumerate(operations):
        where = (*path, "operations", index)
        raw = operation.model_dump(by_alias=True, exclude_unset=True, mode="json")
        try:
            patched: JsonValue = jsonpatch.apply_patch(document, [raw], in_place=False)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            fix = _fix(document, operation)
            findings.error(where, f"the operation does not apply: {error}", fix)
            return document
        document = patched
    return document


def _fix(document: JsonValue, operation: OperationFile) -> str:
    """Say what there is instead, at the deepest part of the path that exists."""
    parts = operation.path.split("/")
    for length in range(len(parts) - 1, 0, -1):
        parent = "/".join(parts[:length])
        try:
            found = jsonpointer.resolve_pointer(document, parent)
        except jsonpointer.JsonPointerException:
            continue
        if isinstance(found, dict):
            return f"under {parent or '/'} there is: {', '.join(sorted(found)) or 'nothing'}"
        if isinstance(found, list):
            return f"{parent} is a list of {len(found)}"
        break
    return "correct the path"

"""CustomResourceDefinitions: checked on the way in, turned into served resources once stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonpath

from conformance.sandbox.apiserver.errors import Cause, KubeObject
from conformance.sandbox.apiserver.kinds import CRD_FINALIZER, KindRules
from conformance.sandbox.apiserver.metadata import now
from conformance.sandbox.apiserver.resources import Resource, columns_of
from conformance.sandbox.apiserver.schema import Schema
from conformance.sandbox.apiserver.table import compiled_path


class CrdRules(KindRules):
    """A CustomResourceDefinition names itself after what it defines and stores one version."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        spec = obj.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if isinstance(names, dict) and isinstance(names.get("kind"), str):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", f"{names['kind']}List")
        if old is None:
            obj["metadata"].setdefault("finalizers", [CRD_FINALIZER])

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        spec = obj["spec"]
        causes = []
        name = f"{spec['names']['plural']}.{spec['group']}"
        if obj["metadata"]["name"] != name:
            message = f'Invalid value: "{obj["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
            causes.append(Cause("FieldValueInvalid", message, "metadata.name"))
        if sum(version["storage"] for version in spec["versions"]) != 1:
            message = "Invalid value: must have exactly one version marked as storage version"
            causes.append(Cause("FieldValueInvalid", message, "spec.versions"))
        for index, version in enumerate(spec["versions"]):
            causes += _version_causes(version, f"spec.versions[{index}]")
        return causes


def _version_causes(version: dict[str, Any], where: str) -> Iterator[Cause]:
    at_schema = f"{where}.schema.openAPIV3Schema"
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        yield Cause("FieldValueRequired", "Required value: schemas are required", at_schema)
    elif not isinstance(schema, dict) or schema.get("type") != "object":
        yield Cause("FieldValueInvalid", 'Invalid value: must be "object" at the root', f"{at_schema}.type")
    else:
        try:
            Schema(schema)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            yield Cause("FieldValueInvalid", f"Invalid value: not a structural schema: {error}", at_schema)
    for index, column in enumerate(version.get("additionalPrinterColumns") or []):
        try:
            compiled_path(column["jsonPath"])
        except (jsonpath.JSONPathError, KeyError, TypeError) as error:
            at_column = f"{where}.additionalPrinterColumns[{index}].jsonPath"
            yield Cause("FieldValueInvalid", f"Invalid value: {error}", at_column)


def established(crd: KubeObject) -> KubeObject:
    """The status of a definition that is served."""
    spec, since = crd["spec"], now()
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": since,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in spec["versions"] if version["storage"]]
    return {"acceptedNames": spec["names"], "conditions": conditions, "storedVersions": stored}


def resources_of(crd: KubeObject) -> list[Resource]:
    """The resources that a definition serves, one a version."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            schema=Schema(version["schema"]["openAPIV3Schema"]),
            storage_version=storage,
            singular=names.get("singular", ""),
            list_kind=names.get("listKind", ""),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=frozenset(version.get("subresources") or ()) & {"status"},
            columns=columns_of(version.get("additionalPrinterColumns")),
            selectable=frozenset(field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()),
        )
        for version in spec["versions"]
        if version["served"]
    ]

"""Which resource types the server serves, under which names and versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError
from conformance.sandbox.apiserver.metadata import METADATA_SCHEMA, NameRule
from conformance.sandbox.apiserver.schema import RawSchema, Schema

ResourceKey = tuple[str, str]
"""(group, plural): what names a kind's storage, shared by all its versions."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Column:
    """A printer column: `path` is the JSONPath of a custom resource's column, empty for computed columns."""

    name: str
    type: str = "string"
    path: str = ""
    format: str = ""
    description: str = ""
    priority: int = 0


AGE = Column("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True, eq=False)
class Resource:
    """One served version of one resource type."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    schema: Schema
    storage_version: str
    builtin: bool = False
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    columns: tuple[Column, ...] = (AGE,)
    selectable: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS
    counts_generations: bool = True
    name_rule: NameRule = "subdomain"
    fields: RawSchema = field(init=False)

    def __post_init__(self) -> None:
        properties = {**(self.schema.raw.get("properties") or {}), "metadata": METADATA_SCHEMA}
        object.__setattr__(self, "fields", {**self.schema.raw, "properties": properties})
        object.__setattr__(self, "singular", self.singular or self.kind.lower())
        object.__setattr__(self, "list_kind", self.list_kind or f"{self.kind}List")

    @property
    def key(self) -> ResourceKey:
        """Where its objects are stored."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` in the core group."""
        return join_group_version(self.group, self.version)

    @property
    def qualified(self) -> str:
        """`plural.group`, as messages name a resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def status_isolated(self) -> bool:
        """Whether status is written through its own subresource only."""
        return "status" in self.subresources

    @property
    def storage_api_version(self) -> str:
        """The apiVersion its objects are stored with."""
        return join_group_version(self.group, self.storage_version)

    def present(self, obj: KubeObject) -> KubeObject:
        """A stored object as this version shows it."""
        return obj if obj["apiVersion"] == self.api_version else {**obj, "apiVersion": self.api_version}

    def not_found(self, name: str) -> StatusError:
        """404 for an absent object."""
        return StatusError(
            404, "NotFound", f'{self.qualified} "{name}" not found', name=name, group=self.group, kind=self.plural
        )

    def already_exists(self, name: str) -> StatusError:
        """409 for a name that is taken."""
        message = f'{self.qualified} "{name}" already exists'
        return StatusError(409, "AlreadyExists", message, name=name, group=self.group, kind=self.plural)

    def conflict(self, name: str, text: str) -> StatusError:
        """409 for a write that rests on something that is no longer so."""
        message = f'Operation cannot be fulfilled on {self.qualified} "{name}": {text}'
        return StatusError(409, "Conflict", message, name=name, group=self.group, kind=self.plural)

    def forbidden(self, name: str, text: str, causes: Iterable[Cause] = ()) -> StatusError:
        """403 by a rule of the server itself."""
        message = f'{self.qualified} "{name}" is forbidden: {text}'
        return StatusError(
            403, "Forbidden", message, name=name, group=self.group, kind=self.plural, causes=tuple(causes)
        )

    def invalid(self, name: str, causes: Iterable[Cause]) -> StatusError:
        """422 with its causes, several of them in brackets."""
        listed = list(causes)
        text = ", ".join(f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in listed)
        qualified = f"{self.kind}.{self.group}" if self.group else self.kind
        message = f'{qualified} "{name}" is invalid: ' + (f"[{text}]" if len(listed) > 1 else text)
        return StatusError(422, "Invalid", message, name=name, group=self.group, kind=self.kind, causes=listed)


def join_group_version(group: str, version: str) -> str:
    """`group/version`, or the version alone in the core group."""
    return f"{group}/{version}" if group else version


class Registry:
    """The resource types that are served now. `generation` grows with every change, for caches."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        self.generation = 0
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource, replacing an earlier form of it."""
        self._resources[resource.group, resource.version, resource.plural] = resource
        self.generation += 1

    def remove(self, key: ResourceKey) -> None:
        """Stop serving every version of a resource type."""
        self._resources = {gvr: found for gvr, found in self._resources.items() if found.key != key}
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path, or None."""
        return self._resources.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object's apiVersion and kind, or None."""
        return next((r for r in self._resources.values() if r.kind == kind and r.api_version == api_version), None)

    def by_key(self, key: ResourceKey) -> Resource | None:
        """Some version of a resource type, or None."""
        return next((resource for resource in self._resources.values() if resource.key == key), None)

    def stored(self) -> Iterator[Resource]:
        """One resource of each storage."""
        seen: set[ResourceKey] = set()
        for resource in list(self._resources.values()):
            if resource.key not in seen and resource.verbs == ALL_VERBS:
                seen.add(resource.key)
                yield resource

    def groups(self) -> dict[str, dict[str, list[Resource]]]:
        """group -> version -> resources, in order of registration."""
        grouped: dict[str, dict[str, list[Resource]]] = {}
        for resource in self._resources.values():
            grouped.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
        return grouped


def columns_of(entries: Iterable[dict[str, Any]] | None) -> tuple[Column, ...]:
    """Printer columns from a CRD version's `additionalPrinterColumns`; Age alone when it has none."""
    if entries is None:
        return (AGE,)
    return tuple(
        Column(
            name=entry["name"],
            type=entry.get("type", "string"),
            path=entry["jsonPath"],
            format=entry.get("format", ""),
            description=entry.get("description", ""),
            priority=entry.get("priority", 0),
        )
        for entry in entries
    )

"""PolicyRules: whether one allows a request, and whether some together cover others.

Source: Kubernetes documentation, "Using RBAC Authorization"; the wording of refusals is the API server's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.sandbox.apiserver.auth import Attributes

ALL = "*"


@dataclass(frozen=True)
class Rule:
    """One PolicyRule. Either resources or non-resource URLs; empty `names` means every object."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> Rule:
        """From its JSON form."""
        keys = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(tuple(map(str, rule.get(key) or ())) for key in keys))

    def to_json(self) -> dict[str, Any]:
        """Its JSON form, empty parts left out."""
        parts = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {key: list(values) for key, values in parts.items() if values}

    def allows(self, wanted: Attributes) -> bool:
        """Whether this rule allows a request."""
        if not _has(self.verbs, wanted.verb):
            return False
        if not wanted.resource:
            return any(_url_matches(url, wanted.path) for url in self.urls)
        return (
            _has(self.groups, wanted.group)
            and any(_resource_matches(mine, wanted.resource, wanted.subresource) for mine in self.resources)
            and (not self.names or wanted.name in self.names)
        )

    def covers(self, other: Rule) -> bool:
        """Whether a rule that `single_rights` made is allowed by this one."""
        if not _has(self.verbs, other.verbs[0]):
            return False
        if other.urls:
            return any(_url_matches(url, other.urls[0]) for url in self.urls)
        resource, _, subresource = other.resources[0].partition("/")
        return (
            _has(self.groups, other.groups[0])
            and any(_resource_matches(mine, resource, subresource) for mine in self.resources)
            and (not self.names or (bool(other.names) and other.names[0] in self.names))
        )

    def single_rights(self) -> Iterator[Rule]:
        """The rule taken apart: one verb on one resource (of one name) or one URL each."""
        for verb in self.verbs:
            for url in self.urls:
                yield Rule((verb,), urls=(url,))
            for group in self.groups:
                for resource in self.resources:
                    bare = Rule((verb,), (group,), (resource,))
                    yield from (replace(bare, names=(name,)) for name in self.names)
                    if not self.names:
                        yield bare

    def __str__(self) -> str:
        labelled = (
            ("APIGroups", self.groups),
            ("Resources", self.resources),
            ("NonResourceURLs", self.urls),
            ("ResourceNames", self.names),
            ("Verbs", self.verbs),
        )
        return "{" + ", ".join(f"{label}:{quoted(values)}" for label, values in labelled if values) + "}"


def missing(owned: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of `wanted` nothing in `owned` covers, verbs of one resource joined."""
    held = list(owned)
    joined: dict[Rule, list[str]] = {}
    for rule in wanted:
        for right in rule.single_rights():
            if not any(mine.covers(right) for mine in held):
                verbs = joined.setdefault(replace(right, verbs=()), [])
                if right.verbs[0] not in verbs:
                    verbs.append(right.verbs[0])
    return [replace(bare, verbs=tuple(verbs)) for bare, verbs in joined.items()]


def quoted(values: Iterable[str]) -> str:
    """A list as Go prints it with %q."""
    return "[" + " ".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "]"


def _has(listed: tuple[str, ...], value: str) -> bool:
    return ALL in listed or value in listed


def _resource_matches(mine: str, resource: str, subresource: str) -> bool:
    wanted = f"{resource}/{subresource}" if subresource else resource
    return mine in (ALL, wanted) or bool(subresource and mine == f"*/{subresource}")


def _url_matches(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith(ALL) and path.startswith(pattern.rstrip(ALL)))

"""The rights that a run needs, as data (``rights.yaml``), and the roles made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from conformance.kube.registry import Registry

Account = Literal["registrar", "runner", "observer", "everybody"]
Place = Literal["namespace", "cluster", "registry"]
_FILE = Path(__file__).with_name("rights.yaml")


@dataclass(frozen=True)
class Right:
    """Some verbs on some resources (``pods/exec`` with its subresource) of one API group, and what they are for."""

    account: Account
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    place: Place
    why: str

    def to_rule(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """The PolicyRule; ``names`` limit it to these objects."""
        rule = {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}
        return {**rule, "resourceNames": list(names)} if names else rule


@dataclass(frozen=True)
class Single:
    """One verb on one resource in one place: what an access review asks. Empty ``namespace`` means cluster-wide."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    why: str

    def attributes(self) -> dict[str, str]:
        """``spec.resourceAttributes`` of an access review."""
        resource, _, subresource = self.resource.partition("/")
        asked = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource}
        return {key: value for key, value in {**asked, "namespace": self.namespace, "name": self.name}.items() if value}

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        of = f' "{self.name}"' if self.name else ""
        where = f"in namespace {self.namespace}" if self.namespace else "cluster-wide"
        return f"{self.verb} {what}{of} {where} (to {self.why})"


@cache
def load_rights() -> tuple[Right, ...]:
    """Every right, in the order of the file."""
    declared = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Right(
            account=cast("Account", account),
            group=entry["group"],
            resources=tuple(entry["resources"]),
            verbs=tuple(entry["verbs"]),
            place=cast("Place", entry["in"]),
            why=entry["why"],
        )
        for account, entries in declared.items()
        for entry in entries
    )


def rights_of(account: Account, registry: Registry) -> tuple[Right, ...]:
    """What one account needs; of the registrar's rights those on the object that holds the registrations."""
    return tuple(
        right
        for right in load_rights()
        if right.account == account and (right.place != "registry" or registry.resource in right.resources)
    )


def singles(rights: Iterable[Right], registry: Registry, namespaces: Iterable[str]) -> Iterator[Single]:
    """The rights taken apart, for the namespaces of a run."""
    places = tuple(namespaces)
    for right in rights:
        where = {
            "cluster": [("", "")],
            "registry": [(registry.ref.namespace, registry.ref.name)],
            "namespace": [(namespace, "") for namespace in places],
        }[right.place]
        for namespace, name in where:
            for resource in right.resources:
                for verb in right.verbs:
                    yield Single(verb, right.group, resource, namespace, name, right.why)

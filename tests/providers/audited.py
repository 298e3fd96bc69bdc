"""The rights that a run used, read from the audit log of its API server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conformance.access.manifests import REGISTRAR, RUNNER
from conformance.access.rights import load_rights
from conformance.kube.manifest import Manifest

_ACCOUNTS = {REGISTRAR: "registrar", RUNNER: "runner"}
_CONNECTIONS = ("exec", "attach", "portforward")


class Used(NamedTuple):
    """One verb on one resource, and whose right it is: the registrar's or the runner's."""

    account: str
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.account}: {self.verb} {what}"


def used_rights(log: Path) -> set[Used]:
    """What the two accounts of every run in the log asked for and were not refused."""
    with log.open(encoding="utf-8") as lines:
        return {used for line in lines for used in _used(json.loads(line))}


def _used(event: dict[str, Any]) -> Iterator[Used]:
    name = event["user"]["username"].rpartition(":")[2]
    account = _ACCOUNTS.get(name)
    ref = event.get("objectRef", {})
    if account is None or ref.get("apiGroup") == "authorization.k8s.io" or event["responseStatus"]["code"] == 403:
        return
    resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
    used = Used(account, ref.get("apiGroup", ""), resource, event["verb"])
    yield used
    # what the API server asks for besides the verb of the request
    connection = (used.group, ref["resource"]) == ("", "pods") and ref.get("subresource") in _CONNECTIONS
    applied = used.verb == "patch" and event["responseStatus"]["code"] == 201
    if (connection and used.verb == "get") or applied:
        yield used._replace(verb="create")


def granted_rights(manifests: Iterable[Manifest]) -> set[Used]:
    """What roles among the manifests give to the two accounts."""
    given = list(manifests)
    rules = {
        (role["kind"], _place(role, role["metadata"])): role["rules"]
        for role in given
        if role["kind"] in ("Role", "ClusterRole")
    }
    return {
        Used(account, group, resource, verb)
        for binding in given
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in binding["subjects"]
        if (account := _ACCOUNTS.get(subject["name"]))
        for rule in rules[binding["roleRef"]["kind"], _place(binding, binding["roleRef"])]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _place(stands: Manifest, named: Manifest) -> tuple[str | None, str]:
    return stands["metadata"].get("namespace"), named["name"]


def open_to_everybody() -> set[tuple[str, str, str]]:
    """Group, resource and verb of what needs no grant."""
    return {
        (r.group, name, verb)
        for r in load_rights()
        if r.account == "everybody"
        for name in r.resources
        for verb in r.verbs
    }

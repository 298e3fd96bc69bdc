"""Discovery: `/api`, `/apis` and below, plain and aggregated (`apidiscovery.k8s.io/v2`).

Source: Kubernetes documentation, "The Kubernetes API" (Discovery API).
"""

from __future__ import annotations

from typing import Any

from conformance.sandbox.apiserver.errors import KubeObject, route_not_found
from conformance.sandbox.apiserver.resources import Registry, Resource, join_group_version

STREAM_GROUP = "subresources.kubevirt.io"
STREAM_VERSIONS = ("v1", "v1alpha3")
_STREAM_RESOURCES = {
    "virtualmachineinstances": (
        *(("console", "get"), ("portforward", "get"), ("vnc", "get"), ("guestosinfo", "get"), ("userlist", "get")),
        *(("pause", "update"), ("unpause", "update"), ("softreboot", "update"), ("reset", "update")),
    ),
    "virtualmachines": (
        *(("start", "update"), ("stop", "update"), ("restart", "update"), ("migrate", "update")),
        *(("portforward", "get"), ("addvolume", "update"), ("removevolume", "update")),
    ),
}
"""What the aggregated API serves: (subresource, verb) by resource. The backend decides what it really answers."""

_SUBRESOURCE_KINDS = {
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "finalize": ["update"],
    "log": ["get"],
    "eviction": ["create"],
    "binding": ["create"],
    "token": ["create"],
}


class Discovery:
    """Answers discovery requests from the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, parts: list[str], accept: str) -> tuple[KubeObject, str]:
        """The document at a discovery path (its segments) and its content type; StatusError 404."""
        if len(parts) == 1 and "as=APIGroupDiscoveryList" in accept:
            version = "v2beta1" if "v=v2beta1" in accept and "v=v2;" not in accept + ";" else "v2"
            media = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            return self._aggregated(version, core=parts[0] == "api"), media
        return self._plain(parts), "application/json"

    def _plain(self, parts: list[str]) -> KubeObject:
        groups = self._groups()
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        if parts == ["apis"]:
            listed = [_group(name, versions) for name, versions in groups.items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[-1])
        if len(parts) != (2 if parts[0] == "api" else 3) or version not in groups.get(group, {}):
            raise route_not_found()
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": join_group_version(group, version),
            "resources": _stream_entries() if group == STREAM_GROUP else _entries(groups[group][version]),
        }

    def _groups(self) -> dict[str, dict[str, list[Resource]]]:
        return {**self._registry.groups(), STREAM_GROUP: {version: [] for version in STREAM_VERSIONS}}

    def _aggregated(self, version: str, *, core: bool) -> KubeObject:
        items = [
            {
                "metadata": {"name": name, "creationTimestamp": None},
                "versions": [
                    {
                        "version": served,
                        "freshness": "Current",
                        "resources": _stream_items() if name == STREAM_GROUP else [_item(r) for r in resources],
                    }
                    for served, resources in versions.items()
                ],
            }
            for name, versions in self._groups().items()
            if (name == "") == core
        ]
        api_version = f"apidiscovery.k8s.io/{version}"
        return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _group(name: str, versions: dict[str, list[Resource]]) -> KubeObject:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(resources: list[Resource]) -> list[KubeObject]:
    entries: list[KubeObject] = []
    for resource in resources:
        entry: KubeObject = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        for name in sorted(resource.subresources):
            group, version, kind = _subresource_kind(resource, name)
            foreign = {"group": group, "version": version} if kind != resource.kind else {}
            entries.append(
                {
                    "name": f"{resource.plural}/{name}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    **foreign,
                    "kind": kind,
                    "verbs": _subresource_verbs(name),
                }
            )
    return entries


def _item(resource: Resource) -> KubeObject:
    item: KubeObject = {
        "resource": resource.plural,
        "responseKind": _gvk((resource.group, resource.version, resource.kind)),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    item["subresources"] = [
        {
            "subresource": name,
            "responseKind": _gvk(_subresource_kind(resource, name)),
            "verbs": _subresource_verbs(name),
        }
        for name in sorted(resource.subresources)
    ]
    return item


def _gvk(names: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("group", "version", "kind"), names, strict=True))


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str]:
    return _SUBRESOURCE_KINDS.get(name, (resource.group, resource.version, resource.kind))


def _subresource_verbs(name: str) -> list[str]:
    return _SUBRESOURCE_VERBS.get(name, ["create", "get"])


def _stream_entries() -> list[KubeObject]:
    return [
        {"name": f"{plural}/{name}", "singularName": "", "namespaced": True, "kind": "", "verbs": [verb]}
        for plural, names in _STREAM_RESOURCES.items()
        for name, verb in names
    ]


def _stream_items() -> list[KubeObject]:
    items: list[KubeObject] = []
    for plural, names in _STREAM_RESOURCES.items():
        subresources: list[dict[str, Any]] = [{"subresource": name, "verbs": [verb]} for name, verb in names]
        items.append({"resource": plural, "scope": "Namespaced", "verbs": [], "subresources": subresources})
    return items

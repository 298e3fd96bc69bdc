"""The rights that one request needs.

Most need one. A websocket to a pod's exec, attach or portforward is a GET that needs `create` as well, and an apply of
an object that does not exist needs `create` besides `patch`. Source: Kubernetes API access control; recorded on 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.auth import Attributes, forbidden
from conformance.sandbox.apiserver.discovery import STREAM_GROUP
from conformance.sandbox.apiserver.errors import StatusError
from conformance.sandbox.apiserver.patch import APPLY_PATCH
from conformance.sandbox.apiserver.requests import Target
from conformance.sandbox.apiserver.store import Store

POD_CONNECTIONS = ("exec", "attach", "portforward")


def attributes_of(request: web.BaseRequest, target: Target, verb: str) -> Attributes:
    """What the request wants, as the authorizer is asked."""
    wanted = Attributes(
        verb=verb,
        group=target.group,
        version=target.version,
        resource=target.plural,
        subresource=_subresource(target),
        namespace=target.namespace or "",
        name=target.name,
        path=request.path,
    )
    if (target.group, target.plural) == ("", "namespaces"):
        return replace(wanted, namespace=target.name)
    if not target.name and verb in ("list", "watch"):
        return replace(wanted, name=_selected_name(request.query.get("fieldSelector", "")))
    return wanted


def further_rights(
    request: web.BaseRequest, user: User, wanted: Attributes, store: Store
) -> Iterator[tuple[Attributes, StatusError]]:
    """What is needed besides `wanted`, each with the refusal where it lacks."""
    pod_connection = (wanted.group, wanted.resource) == ("", "pods") and wanted.subresource in POD_CONNECTIONS
    if pod_connection and wanted.verb == "get":
        # recorded from 1.36.2: this refusal gives no reason
        text = f'pods "{wanted.name}" is forbidden: '
        yield replace(wanted, verb="create"), StatusError(403, "Forbidden", text, name=wanted.name, kind="pods")
    if wanted.verb == "patch" and request.content_type == APPLY_PATCH and not wanted.subresource:
        namespace = "" if wanted.resource == "namespaces" else wanted.namespace
        if store.get((wanted.group, wanted.resource), namespace, wanted.name) is None:
            creating = replace(wanted, verb="create")
            yield creating, forbidden(user, creating)


def _subresource(target: Target) -> str:
    """The first segment; KubeVirt's own API also knows some of two, such as `vnc/screenshot`."""
    first, _, rest = target.subresource.partition("/")
    return target.subresource if target.group == STREAM_GROUP and rest and first != "portforward" else first


def _selected_name(selector: str) -> str:
    """The name that a field selector limits a list to, which then counts as the request's name."""
    terms = [term.strip() for term in selector.split(",")]
    found = [term.partition("=")[2].lstrip("=") for term in terms if term.startswith("metadata.name=")]
    return found[0] if found else ""

"""The verbs on resources: list, get, watch, create, update, patch, apply, delete."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from conformance.sandbox.apiserver.actions import Actions
from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.errors import (
    Cause,
    KubeObject,
    StatusError,
    bad_request,
    expired,
    method_not_allowed,
    unsupported_media_type,
)
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import WriteOptions, private_copy
from conformance.sandbox.apiserver.patch import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)
from conformance.sandbox.apiserver.requests import (
    Target,
    flag,
    number,
    read_body,
    read_delete_options,
    read_object,
    write_options,
)
from conformance.sandbox.apiserver.resources import Resource
from conformance.sandbox.apiserver.selectors import Predicate, selection
from conformance.sandbox.apiserver.table import Shape, negotiate, partial, table
from conformance.sandbox.apiserver.watch import WatchStream, parse_watch


@dataclass(frozen=True)
class Call:
    """One authorised request for one resource."""

    request: web.Request
    resource: Resource
    target: Target
    user: User

    @property
    def namespace(self) -> str:
        """The namespace of the object's key: empty for cluster-wide kinds."""
        return self.target.namespace or "" if self.resource.namespaced else ""


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")


class ResourceHandlers:
    """Answers calls from the store and the operations."""

    def __init__(self, operations: Operations, actions: Actions) -> None:
        self._operations = operations
        self._store = operations.store
        self._actions = actions
        self._verbs = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def handle(self, verb: str, call: Call) -> web.StreamResponse:
        """Answer a call; StatusError for what cannot be done."""
        handler = self._verbs.get(verb)
        if handler is None or (verb not in call.resource.verbs and not call.target.subresource):
            raise method_not_allowed()
        return await handler(call)

    # ------------------------------------------------------------------------------------------ reads

    def _found(self, call: Call) -> KubeObject:
        obj = self._store.get(call.resource.key, call.namespace, call.target.name)
        if obj is None:
            raise call.resource.not_found(call.target.name)
        return obj

    async def _get(self, call: Call) -> web.StreamResponse:
        obj = self._found(call)
        if call.target.subresource not in ("", "status"):
            raise method_not_allowed()
        return self._answer(call, obj)

    async def _watch(self, call: Call) -> web.StreamResponse:
        shape = _shape(call.request)
        wanted = parse_watch(call.request, call.resource, self._selection(call, call.target.name), shape)
        return await WatchStream(self._store, wanted).serve(call.request)

    def _selection(self, call: Call, name: str = "") -> Predicate:
        query = call.request.query
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        return selection(call.resource, call.target.namespace, labels, fields, name)

    async def _list(self, call: Call) -> web.StreamResponse:
        shape, resource = _shape(call.request), call.resource
        selected = self._selection(call)
        limit = number(call.request, "limit") or 0
        objects = [obj for obj in self._store.list(resource.key, call.target.namespace) if selected(obj)]
        metadata: dict[str, Any] = {"resourceVersion": str(self._store.revision)}
        if token := call.request.query.get("continue"):
            revision, after = self._decode_continue(token)
            metadata["resourceVersion"] = str(revision)
            objects = [obj for obj in objects if _position(obj) > after]
        if limit and len(objects) > limit:
            metadata["continue"] = _encode_continue(metadata["resourceVersion"], objects[limit - 1])
            metadata["remainingItemCount"] = len(objects) - limit
            objects = objects[:limit]
        if shape == "table":
            include = call.request.query.get("includeObject", "Metadata")
            return json_response(table(resource, objects, metadata, include))
        if shape == "metadata":
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            items: Iterable[KubeObject] = map(partial, objects)
        else:
            kind, version = resource.list_kind, resource.api_version
            items = map(resource.present, objects)
        return json_response({"kind": kind, "apiVersion": version, "metadata": metadata, "items": list(items)})

    def _decode_continue(self, token: str) -> tuple[int, tuple[str, str]]:
        """The revision of the first page and the last object that was listed."""
        try:
            decoded = orjson.loads(base64.urlsafe_b64decode(token))
            revision, after = int(decoded["rv"]), (str(decoded["start"][0]), str(decoded["start"][1]))
        except (binascii.Error, ValueError, KeyError, TypeError, IndexError) as error:
            raise bad_request(f"continue key is not valid: {error}") from error
        if revision < self._store.history.compacted:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        return revision, after

    # ------------------------------------------------------------------------------------------ writes

    async def _create(self, call: Call) -> web.StreamResponse:
        resource, target = call.resource, call.target
        body = await read_object(call.request)
        options = write_options(call.request, call.user, target.subresource)
        if target.subresource:
            answer = self._actions.act(resource, self._found(call), body, options)
            return json_response(answer, 201, _warnings(options))
        if target.name or (resource.namespaced and target.namespace is None):
            raise method_not_allowed()
        if "create" in resource.verbs and len(resource.verbs) == 1:
            return json_response(self._actions.review(resource, body, call.user), 201)
        self._check_kind(resource, body)
        return self._answer(call, self._operations.create(resource, call.namespace, body, options), 201, options)

    async def _update(self, call: Call) -> web.StreamResponse:
        resource, target = call.resource, call.target
        if not target.name:
            raise method_not_allowed()
        body = await read_object(call.request)
        options = write_options(call.request, call.user, target.subresource)
        self._check_kind(resource, body)
        old = self._found(call)
        metadata = body.get("metadata")
        if not resource.builtin and not (isinstance(metadata, dict) and metadata.get("resourceVersion")):
            raise _version_required(resource, target.name)
        return self._answer(call, self._operations.update(resource, old, body, options), 200, options)

    async def _patch(self, call: Call) -> web.StreamResponse:
        resource, target = call.resource, call.target
        if not target.name:
            raise method_not_allowed()
        options = write_options(call.request, call.user, target.subresource)
        body = await read_body(call.request)
        if call.request.content_type == APPLY_PATCH:
            return self._apply(call, body, options)
        old = self._found(call)
        patched = private_copy(self._patched(call.request.content_type, resource, old, body))
        self._check_kind(resource, patched)
        return self._answer(call, self._operations.update(resource, old, patched, options), 200, options)

    def _patched(self, content_type: str, resource: Resource, old: KubeObject, body: object) -> KubeObject:
        shown = resource.present(old)
        if content_type == JSON_PATCH:
            return json_patch(private_copy(shown), body)
        if content_type not in (MERGE_PATCH, STRATEGIC_MERGE_PATCH) or (
            content_type == STRATEGIC_MERGE_PATCH and not resource.builtin
        ):
            strategic = (STRATEGIC_MERGE_PATCH,) if resource.builtin else ()
            raise unsupported_media_type((JSON_PATCH, MERGE_PATCH, *strategic, APPLY_PATCH))
        if not isinstance(body, dict):
            raise bad_request("error decoding patch: the patch is not an object")
        if content_type == MERGE_PATCH:
            return merge_patch(shown, body)
        return strategic_merge_patch(shown, body, resource.fields)

    def _apply(self, call: Call, body: object, options: WriteOptions) -> web.StreamResponse:
        resource, target = call.resource, call.target
        if not call.request.query.get("fieldManager"):
            cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
            text = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {cause.message}'
            raise StatusError(422, "Invalid", text, group="meta.k8s.io", kind="PatchOptions", causes=[cause])
        if not isinstance(body, dict):
            raise bad_request("error decoding patch: the applied configuration is not an object")
        found = body.get("apiVersion") or ""
        if found != resource.api_version:
            expected = f"expected: {resource.api_version}"
            raise bad_request(
                f"Incorrect version specified in apply patch. Specified patch version: {found}, {expected}"
            )
        self._check_kind(resource, body)
        force = flag(call.request, "force")
        obj, created = self._operations.apply(resource, call.namespace, target.name, body, options, force=force)
        return self._answer(call, obj, 201 if created else 200, options)

    async def _delete(self, call: Call) -> web.StreamResponse:
        resource = call.resource
        wanted = await read_delete_options(call.request)
        options = write_options(call.request, call.user, "")
        if call.target.subresource:
            raise method_not_allowed()
        obj, gone = self._operations.delete(resource, self._found(call), wanted, options)
        if not gone or resource.kind == "Pod":
            return self._answer(call, obj, 200, options)
        details = {"name": call.target.name, "group": resource.group, "kind": resource.plural}
        details["uid"] = obj["metadata"]["uid"]
        listed = {key: value for key, value in details.items() if value}
        answer = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": listed}
        return json_response(answer, 200, _warnings(options))

    async def _delete_collection(self, call: Call) -> web.StreamResponse:
        resource = call.resource
        if resource.namespaced and call.target.namespace is None:
            raise method_not_allowed()
        wanted = await read_delete_options(call.request)
        options = write_options(call.request, call.user, "")
        selected = self._selection(call)
        deleted = [
            self._operations.delete(resource, obj, wanted, options)[0]
            for obj in self._store.list(resource.key, call.target.namespace)
            if selected(obj)
        ]
        metadata = {"resourceVersion": str(self._store.revision)}
        items = list(map(resource.present, deleted))
        answer = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
        return json_response(answer, 200, _warnings(options))

    # ------------------------------------------------------------------------------------------ common

    def _check_kind(self, resource: Resource, body: KubeObject) -> None:
        """A body speaks of the resource it is sent to; built-in kinds may leave kind and apiVersion out."""
        expected = {"kind": resource.kind, "apiVersion": resource.api_version}
        wrong = {key: body.get(key) for key, value in expected.items() if body.get(key, value) != value}
        if not resource.builtin:
            wrong.update({key: None for key in expected if key not in body})
        if not wrong:
            return
        if resource.builtin or (wrong.keys() == {"apiVersion"} and wrong["apiVersion"]):
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): the API version in the data "
                f"({body.get('apiVersion', '')}, Kind={body.get('kind', '')}) does not match the expected API version "
                f"({resource.api_version}, Kind={resource.kind})"
            )
        causes = [
            Cause("FieldValueInvalid", f'Invalid value: "{value or ""}": must be {expected[key]}', key)
            for key, value in wrong.items()
        ]
        metadata = body.get("metadata")
        raise resource.invalid(str(metadata.get("name", "")) if isinstance(metadata, dict) else "", causes)

    def _answer(
        self, call: Call, obj: KubeObject, status: int = 200, options: WriteOptions | None = None
    ) -> web.Response:
        shape = _shape(call.request)
        shown = call.resource.present(obj)
        if shape == "table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            shown = table(call.resource, [obj], metadata, call.request.query.get("includeObject", "Metadata"))
        elif shape == "metadata":
            shown = partial(obj)
        return json_response(shown, status, _warnings(options) if options else None)


def _shape(request: web.Request) -> Shape:
    shape = negotiate(request.headers.get("Accept", ""))
    if shape == "unacceptable":
        text = "only the following media types are accepted: application/json"
        raise StatusError(406, "NotAcceptable", text)
    return shape


def _warnings(options: WriteOptions) -> dict[str, str]:
    """RFC 7234 Warning headers, all in one."""
    texts = (text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for text in options.warnings)
    joined = ", ".join(f'299 - "{text}"' for text in texts)
    return {"Warning": joined} if joined else {}


def _position(obj: KubeObject) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _encode_continue(revision: str, last: KubeObject) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"rv": revision, "start": _position(last)})).decode()


def _version_required(resource: Resource, name: str) -> StatusError:
    cause = Cause(
        "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion"
    )
    message = f'{resource.qualified} "{name}" is invalid: {cause.field}: {cause.message}'
    return StatusError(422, "Invalid", message, name=name, group=resource.group, kind=resource.plural, causes=[cause])

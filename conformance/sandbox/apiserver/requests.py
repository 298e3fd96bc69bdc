"""What a request means: its path, verb, options and body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

import orjson
import yaml
from aiohttp import web

from conformance.sandbox.apiserver import protobuf
from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.errors import (
    Cause,
    KubeObject,
    StatusError,
    bad_request,
    too_large,
    unsupported_media_type,
)
from conformance.sandbox.apiserver.options import DeleteOptions, Validation, WriteOptions

MAX_BODY = 3 << 20
"""Bytes; Kubernetes' own limit for a request body."""

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "HEAD": "get"}
_BODY_TYPES = ("application/json", "application/yaml")


@dataclass(frozen=True)
class Target:
    """The resource or object that a path names. `namespace` is None where the path has none."""

    group: str
    version: str
    namespace: str | None
    plural: str
    name: str
    subresource: str


def path_parts(request: web.BaseRequest) -> list[str]:
    """The decoded segments of the path; an escaped slash stays inside its segment."""
    return [unquote(part) for part in request.rel_url.raw_path.split("/") if part]


def parse_target(parts: list[str]) -> Target | None:
    """The target of a path below /api or /apis; None when it is shorter than a resource (discovery)."""
    if parts[0] == "api":
        group, rest = "", parts[1:]
    else:
        group, rest = (parts[1] if len(parts) > 1 else ""), parts[2:]
    if len(rest) < 2:
        return None
    version, rest = rest[0], rest[1:]
    namespace = None
    is_namespace_itself = group == "" and (len(rest) < 3 or rest[2] in ("status", "finalize"))
    if rest[0] == "namespaces" and len(rest) > 2 and not is_namespace_itself:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    return Target(group, version, namespace, rest[0], name, "/".join(rest[2:]))


def verb_of(request: web.BaseRequest, target: Target) -> str:
    """The API verb: get, list, watch, create, update, patch, delete or deletecollection; "" for another method."""
    if request.method == "GET":
        if flag(request, "watch"):
            return "watch"
        return "get" if target.name else "list"
    if request.method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return _VERBS.get(request.method, "")


def flag(request: web.BaseRequest, name: str) -> bool:
    """A boolean query parameter, as Go parses it; an empty value counts as given."""
    return name in request.query and request.query[name] in (*_TRUE, "")


def number(request: web.BaseRequest, name: str) -> int | None:
    """A non-negative integer query parameter; None when absent. StatusError 400 when it is none."""
    text = request.query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad_request(f'Invalid value: "{text}": {name} must be a non-negative integer')
    return int(text)


def write_options(request: web.BaseRequest, user: User, subresource: str) -> WriteOptions:
    """The options of a write. StatusError 422 for values that are not known."""
    query = request.query
    validation = query.get("fieldValidation") or "Warn"
    dry_run = query.getall("dryRun", [])
    for name, values, supported in (
        ("fieldValidation", [validation], ("Ignore", "Strict", "Warn")),
        ("dryRun", [value for value in dry_run if value], ("All",)),
    ):
        for value in values:
            if value not in supported:
                listed = ", ".join(f'"{entry}"' for entry in supported)
                message = f'Unsupported value: "{value}": supported values: {listed}'
                raise StatusError(
                    422, "Invalid", f"{name}: {message}", causes=[Cause("FieldValueNotSupported", message, name)]
                )
    manager = query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
    return WriteOptions(
        user=user,
        manager=manager[:128],
        validation=cast("Validation", validation),
        dry_run=bool(dry_run and dry_run[0]),
        subresource=subresource,
        patch=request.method == "PATCH",
    )


async def read_body(request: web.Request) -> object:
    """The decoded JSON or YAML body; None when empty. StatusError 400, 413 or 415."""
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large(MAX_BODY) from error
    if not data:
        return None
    if request.content_type == protobuf.CONTENT_TYPE:
        return _load_protobuf(data)
    if any(word in request.content_type for word in ("protobuf", "cbor", "multipart")):
        raise unsupported_media_type(_BODY_TYPES)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "yaml" not in request.content_type:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
        return _load_yaml(data)


def _load_protobuf(data: bytes) -> object:
    try:
        return protobuf.decode(data)
    except protobuf.UnknownKindError as error:
        raise unsupported_media_type(_BODY_TYPES) from error
    except ValueError as error:
        raise bad_request(f"unable to decode the protobuf body: {error}") from error


def _load_yaml(data: bytes) -> object:
    """YAML as Kubernetes reads it: one document, JSON types only, no aliases (they can grow without bound)."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, yaml.CSafeLoader)):
            raise bad_request("error converting YAML to JSON: aliases are not accepted")
        loaded = yaml.load(data, yaml.CSafeLoader)
        return orjson.loads(orjson.dumps(loaded, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise bad_request(f"error converting YAML to JSON: {error}") from error


async def read_object(request: web.Request) -> KubeObject:
    """The body, which must be an object."""
    body = await read_body(request)
    if not isinstance(body, dict):
        raise bad_request("the body of the request is not a Kubernetes object")
    return body


async def read_delete_options(request: web.Request) -> DeleteOptions:
    """DeleteOptions from the body or, as kubectl's older forms do, from the query."""
    body = await read_body(request)
    options: Mapping[str, Any] = body if isinstance(body, dict) else {}
    grace = options.get("gracePeriodSeconds")
    if grace is None:
        grace = number(request, "gracePeriodSeconds")
    preconditions = options.get("preconditions") or {}
    propagation = options.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
    if options.get("orphanDependents") is True:
        propagation = "Orphan"
    if not isinstance(grace, int | None) or isinstance(grace, bool) or not isinstance(preconditions, dict):
        raise bad_request("DeleteOptions: gracePeriodSeconds must be an integer and preconditions an object")
    if grace is not None and grace < 0:
        raise _invalid_delete_option(
            "gracePeriodSeconds", f"Invalid value: {grace}: must be greater than or equal to 0"
        )
    if propagation not in ("Background", "Foreground", "Orphan"):
        message = f'Invalid value: "{propagation}": must be one of Background, Foreground, Orphan'
        raise _invalid_delete_option("propagationPolicy", message)
    return DeleteOptions(
        grace_seconds=grace,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
        propagation=propagation,
    )


def _invalid_delete_option(name: str, message: str) -> StatusError:
    return StatusError(
        422,
        "Invalid",
        f'DeleteOptions.meta.k8s.io "" is invalid: {name}: {message}',
        group="meta.k8s.io",
        kind="DeleteOptions",
        causes=[Cause("FieldValueInvalid", message, name)],
    )

"""The HTTP front: authenticate, authorise, dispatch, and turn every failure into a `Status`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
from aiohttp import web

from conformance.sandbox.apiserver.actions import Actions
from conformance.sandbox.apiserver.admission import AdmissionHook, User
from conformance.sandbox.apiserver.audit import AuditLog
from conformance.sandbox.apiserver.auth import Attributes, Authenticator, forbidden
from conformance.sandbox.apiserver.authorization.bootstrap import bootstrap_objects
from conformance.sandbox.apiserver.authorization.escalation import EscalationGuard
from conformance.sandbox.apiserver.authorization.impersonation import impersonated
from conformance.sandbox.apiserver.authorization.policy import RbacAuthorizer
from conformance.sandbox.apiserver.authorization.requests import attributes_of, further_rights
from conformance.sandbox.apiserver.authorization.reviews import AccessReviews
from conformance.sandbox.apiserver.builtin import load_builtin
from conformance.sandbox.apiserver.controllers import Controllers
from conformance.sandbox.apiserver.discovery import STREAM_GROUP, STREAM_VERSIONS, Discovery
from conformance.sandbox.apiserver.errors import KubeObject, StatusError, bad_request, route_not_found
from conformance.sandbox.apiserver.handlers import Call, ResourceHandlers, json_response
from conformance.sandbox.apiserver.openapi import OpenApi
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import INTERNAL
from conformance.sandbox.apiserver.proxy import StreamProxy
from conformance.sandbox.apiserver.quotastatus import QuotaStatus
from conformance.sandbox.apiserver.requests import MAX_BODY, Target, parse_target, path_parts, verb_of
from conformance.sandbox.apiserver.resources import Registry
from conformance.sandbox.apiserver.store import Store
from conformance.sandbox.apiserver.tokens import TokenIssuer

log = logging.getLogger(__name__)

POD_STREAMS = ("log", "exec", "attach", "portforward")
FIRST_NAMESPACES = ("default", "kube-system")


class ApiServer:
    """One cluster's API."""

    def __init__(
        self,
        *,
        hook: AdmissionHook,
        backend: Path,
        authority: str,
        users: dict[str, User],
        version: str,
        audit: AuditLog | None = None,
    ) -> None:
        self.store = Store()
        self.registry = Registry(load_builtin())
        self._authorizer = RbacAuthorizer(self.store)
        self._operations = Operations(self.store, self.registry, EscalationGuard(self._authorizer, hook))
        issuer = TokenIssuer()
        self._controllers = Controllers(self._operations, issuer, authority)
        QuotaStatus(self._operations)
        self._authenticator = Authenticator(self.store, issuer, users)
        actions = Actions(self._operations, issuer, AccessReviews(self._authorizer))
        self._handlers = ResourceHandlers(self._operations, actions)
        self._proxy = StreamProxy(backend)
        self._discovery = Discovery(self.registry)
        self._openapi = OpenApi(self.registry)
        self._version = version
        self._audit = audit
        self._started = datetime.now(UTC)

    def load(self, objects: list[KubeObject]) -> None:
        """Create the first namespaces and roles and the given objects, and let the controllers settle."""
        for name in FIRST_NAMESPACES:
            self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for obj in [*bootstrap_objects(), *objects]:
            self._create(obj)
        self._controllers.handle_pending()

    def _create(self, obj: KubeObject) -> None:
        resource = self.registry.by_kind(str(obj.get("apiVersion")), str(obj.get("kind")))
        if resource is None:
            raise ValueError(f"{obj.get('apiVersion')} {obj.get('kind')} is not a kind that can be loaded")
        namespace = (obj.get("metadata") or {}).get("namespace", "default") if resource.namespaced else ""
        self._operations.create(resource, namespace, obj, INTERNAL)

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.cleanup_ctx.append(self._lifetime)
        return application

    async def _lifetime(self, application: web.Application) -> AsyncIterator[None]:
        """Controllers run while the application does."""
        loop = asyncio.create_task(self._controllers.run())
        yield
        loop.cancel()
        await self._proxy.close()
        if self._audit is not None:
            self._audit.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except StatusError as error:
            return _failure(error)
        except RecursionError:
            return _failure(bad_request("the request is nested too deeply"))
        except (ConnectionError, asyncio.CancelledError, web.HTTPException):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            message = f"Internal error occurred: {type(error).__name__}: {error}"
            return _failure(StatusError(500, "InternalError", message))

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        sender = self._authenticator.authenticate(certificate, request.headers.get("Authorization", ""))
        user = impersonated(sender, request.headers, self._authorizer)
        parts = path_parts(request)
        target = parse_target(parts) if parts and parts[0] in ("api", "apis") else None
        if target is None:
            self._authorize(user, Attributes(request.method.lower(), path=request.path))
            return self._plain(request, parts)
        verb = verb_of(request, target)
        wanted = attributes_of(request, target, verb)
        code, endless = 500, False
        try:
            self._permit(request, user, wanted)
            if endless := verb == "watch" or (verb == "get" and _may_stream(target)):
                self._note(request, user, wanted, 200, ended=False)
            response = await self._serve(request, user, target, verb)
            code = response.status
            return response
        except StatusError as error:
            code, endless = error.code, False
            raise
        finally:
            if not endless:
                self._note(request, user, wanted, code)

    def _note(self, request: web.Request, user: User, wanted: Attributes, code: int, *, ended: bool = True) -> None:
        if self._audit is not None:
            self._audit.write(request, user, wanted, code, ended=ended)

    def _permit(self, request: web.Request, user: User, wanted: Attributes) -> None:
        self._authorize(user, wanted)
        for further, refusal in further_rights(request, user, wanted, self.store):
            if not self._authorizer(user, further).allowed:
                raise refusal

    async def _serve(self, request: web.Request, user: User, target: Target, verb: str) -> web.StreamResponse:
        if self._is_stream(target):
            return await self._proxy.forward(request, user)
        resource = self.registry.find(target.group, target.version, target.plural)
        if resource is None or (target.subresource and target.subresource not in resource.subresources):
            raise route_not_found()
        if not resource.namespaced and target.namespace is not None:
            raise route_not_found()
        return await self._handlers.handle(verb, Call(request, resource, target, user))

    def _authorize(self, user: User, attributes: Attributes) -> None:
        if not self._authorizer(user, attributes).allowed:
            raise forbidden(user, attributes)

    def _is_stream(self, target: Target) -> bool:
        """Whether the backend answers; a stream of a pod needs the pod."""
        if not _may_stream(target):
            return False
        if target.group == STREAM_GROUP:
            return target.version in STREAM_VERSIONS
        if self.store.get(("", "pods"), target.namespace or "", target.name) is None:
            pods = self.registry.by_key(("", "pods"))
            raise pods.not_found(target.name) if pods else route_not_found()
        return True

    def _plain(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        """Paths that name no resource."""
        if not parts:
            return json_response(
                {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
            )
        if parts[0] in ("api", "apis"):
            document, media = self._discovery.answer(parts, request.headers.get("Accept", ""))
            return web.Response(body=orjson.dumps(document), headers={"Content-Type": media, "Vary": "Accept"})
        if parts[0] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        if parts == ["version"]:
            return json_response(self._version_info())
        if parts[:2] == ["openapi", "v3"]:
            body = self._openapi.document("/".join(parts[2:])) if parts[2:] else self._openapi.index()
            return web.Response(body=body, content_type="application/json")
        raise route_not_found()

    def _version_info(self) -> KubeObject:
        major, minor = self._version.lstrip("v").split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "gitVersion": self._version,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": self._started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }


def _may_stream(target: Target) -> bool:
    pod_stream = (target.group, target.plural) == ("", "pods") and target.subresource in POD_STREAMS
    return pod_stream or target.group == STREAM_GROUP


def _failure(error: StatusError) -> web.Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    return json_response(error.body(), error.code, headers)

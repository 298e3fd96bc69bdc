"""A small asynchronous Kubernetes API client for the sandbox's controllers.

The controllers are ordinary API clients: they know a kubeconfig and nothing of the server behind it.
Objects are plain dictionaries in Kubernetes' own casing.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import yaml

log = logging.getLogger(__name__)

Object = dict[str, Any]
"""One API object, as JSON."""

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
_CONFLICT_RETRIES: Final = 12


@dataclass(frozen=True)
class Resource:
    """One API resource: where its objects live under the API root."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of an object or of its subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{scope}/{self.plural}", name, subresource) if part)


NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod")
EVENTS: Final = Resource("", "v1", "events", "Event")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
SERVICES: Final = Resource("", "v1", "services", "Service")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
KUBEVIRTS: Final = Resource("kubevirt.io", "v1", "kubevirts", "KubeVirt")
VMS: Final = Resource("kubevirt.io", "v1", "virtualmachines", "VirtualMachine")
VMIS: Final = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
MIGRATIONS: Final = Resource("kubevirt.io", "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration")
NADS: Final = Resource("k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition")


class ApiError(Exception):
    """The API server answered with a Status.

    Attributes: ``code`` (HTTP), ``reason`` (``NotFound``, ``Conflict``, ...), ``message``.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def conflict(self) -> bool:
        return self.code == 409


class WatchExpiredError(Exception):
    """The watch cannot go on from its resource version; list again."""


@dataclass(frozen=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED or DELETED."""

    type: str
    object: Object


def _ssl_context(cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile(prefix="client-", suffix=".pem") as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]))
            pem.write(b"\n" + base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


class ApiClient:
    """Talks to one API server as the current user of a kubeconfig."""

    def __init__(self, session: aiohttp.ClientSession, server: str, ssl_context: ssl.SSLContext) -> None:
        self._session, self._server, self._ssl = session, server, ssl_context

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path, user_agent: str) -> AsyncIterator[ApiClient]:
        """A client for the kubeconfig's first cluster and user; `user_agent` becomes the field manager."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        headers = {"User-Agent": user_agent}
        if "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=300)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
            yield cls(session, cluster["server"], _ssl_context(cluster, user))

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type} if data is not None else {}
        async with self._session.request(
            method, self._server + path, data=data, params=params, headers=headers, ssl=self._ssl
        ) as response:
            payload = await response.read()
            if response.status >= 400:
                raise _status_error(response.status, payload)
            answer: Object = orjson.loads(payload)
            return answer

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """The object; `ApiError` 404 when absent."""
        return await self._request("GET", resource.path(namespace, name))

    async def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """The object, or None when absent."""
        try:
            return await self.get(resource, namespace, name)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str | None = None, label_selector: str = ""
    ) -> tuple[list[Object], str]:
        """All objects and the resource version of the list."""
        params = {"labelSelector": label_selector} if label_selector else None
        answer = await self._request("GET", resource.path(namespace), params=params)
        identity = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**identity, **item} for item in answer["items"]], answer["metadata"]["resourceVersion"]

    async def create(self, resource: Resource, body: Object) -> Object:
        namespace = body["metadata"].get("namespace")
        return await self._request("POST", resource.path(namespace), body)

    async def token(self, namespace: str, account: str, spec: Object) -> str:
        """A token of a ServiceAccount, by a TokenRequest."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._request("POST", ACCOUNTS.path(namespace, account, "token"), body)
        return str(answer["status"]["token"])

    async def replace(self, resource: Resource, body: Object, subresource: str | None = None) -> Object:
        """PUT of the whole object; 409 when its resource version is stale."""
        meta = body["metadata"]
        return await self._request("PUT", resource.path(meta.get("namespace"), meta["name"], subresource), body)

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object, subresource: str | None = None
    ) -> Object:
        """RFC 7386 merge patch."""
        path = resource.path(namespace, name, subresource)
        return await self._request("PATCH", path, patch, content_type=MERGE_PATCH)

    async def strategic_merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object, subresource: str | None = None
    ) -> Object:
        """Strategic merge patch (built-in kinds only): conditions and containers merge by their keys."""
        path = resource.path(namespace, name, subresource)
        return await self._request("PATCH", path, patch, content_type=STRATEGIC_MERGE_PATCH)

    async def mutate(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        change: Callable[[Object], None],
        subresource: str | None = None,
    ) -> Object:
        """Read, change a copy in place, write; from the start again on a conflict.

        Nothing is written when nothing changed.
        """
        for _ in range(_CONFLICT_RETRIES):
            current = await self.get(resource, namespace, name)
            wanted = copy.deepcopy(current)
            change(wanted)
            if wanted == current:
                return current
            try:
                return await self.replace(resource, wanted, subresource)
            except ApiError as error:
                if not error.conflict:
                    raise
        raise ApiError(
            409, "Conflict", f"{resource.plural} {name}: still conflicting after {_CONFLICT_RETRIES} attempts"
        )

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None, grace: int | None = None
    ) -> None:
        """Delete; an absent object is no error."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self._request("DELETE", resource.path(namespace, name), options)
        except ApiError as error:
            if not error.not_found and not (uid and error.conflict):
                raise

    async def watch(self, resource: Resource, resource_version: str) -> AsyncIterator[WatchEvent]:
        """Events since `resource_version`, until the server closes; `WatchExpiredError` on 410."""
        params = {"watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        async with self._session.get(self._server + resource.path(), params=params, ssl=self._ssl) as response:
            if response.status >= 400:
                raise _status_error(response.status, await response.read())
            async for line in response.content:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise WatchExpiredError(event["object"].get("message", ""))
                yield WatchEvent(event["type"], event["object"])


def _status_error(code: int, payload: bytes) -> ApiError:
    try:
        status = orjson.loads(payload)
        return ApiError(code, status.get("reason", ""), status.get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        return ApiError(code, "", payload.decode(errors="replace")[:500])


async def wait_for_server(client: ApiClient, seconds: float) -> None:
    """Until the server answers; raises the last error after `seconds`."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            await client.list(NAMESPACES)
            return
        except (aiohttp.ClientConnectionError, ApiError):
            if asyncio.get_running_loop().time() > end:
                raise
            await asyncio.sleep(0.05)

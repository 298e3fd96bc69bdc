"""One cluster behind one kubeconfig: typed verbs over the official client's dynamic client.

Every failed request becomes an error of :mod:`conformance.kube.errors`; every object made through a :class:`Cluster`
with a ledger is recorded there before the request goes out, so that it can be undone after a SIGKILL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import urllib3.exceptions
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from conformance.kube.errors import ApiError, Cause, ConnectionLost, KindUnknown, NotFound, from_status
from conformance.kube.ledger import Ledger
from conformance.kube.manifest import KUBEVIRT, NAMESPACE, NODE, Kind, Manifest, Ref, dig
from conformance.kube.official import CALL_SECONDS, Answer, Requests, configuration, json_body

FIELD_MANAGER = "kubevirt-binding-conformance"
_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True)
class Versions:
    """``kubernetes`` as ``v1.36.2``; ``kubevirt`` as ``v1.9.0``, empty when no KubeVirt CR reports one."""

    kubernetes: str
    kubevirt: str


@dataclass(frozen=True)
class Listing:
    """The items of a list and the resourceVersion to watch from."""

    items: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Manifest


class Cluster:
    """A connection. Safe to use from several threads; open a second one only for another kubeconfig."""

    def __init__(self, api_client: ApiClient, cache_file: Path | None = None, ledger: Ledger | None = None) -> None:
        self.api_client = api_client
        self.ledger = ledger
        with _translated("read the API's discovery documents"):
            self._requests = Requests(api_client, cache_file)

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | str,
        context: str | None = None,
        *,
        cache_file: Path | None = None,
        ledger: Ledger | None = None,
    ) -> Cluster:
        """Connect with a kubeconfig file. ``cache_file`` keeps the discovery documents; give each run its own.

        Raises :class:`~conformance.kube.errors.Unusable` for a file that is none, and
        :class:`~conformance.kube.errors.ConnectionLost` when nothing answers.
        """
        return cls(ApiClient(configuration(kubeconfig, context)), cache_file, ledger)

    def close(self) -> None:
        """Drop the pooled connections."""
        self.api_client.rest_client.pool_manager.clear()

    # -- what the cluster is --------------------------------------------------------------------------------------

    def versions(self) -> Versions:
        """The versions of Kubernetes and of KubeVirt (``status.observedKubeVirtVersion`` of its CR)."""
        with _translated("get /version"):
            kubernetes = str(json_body(self._requests.send("get", "/version"))["gitVersion"])
        try:
            found = self.list(KUBEVIRT).items
        except (KindUnknown, NotFound):
            found = ()
        kubevirt = str(dig(found[0], "status", "observedKubeVirtVersion", default="")) if found else ""
        return Versions(kubernetes, kubevirt)

    def serves(self, kind: Kind) -> bool:
        """Whether the cluster has this kind (its CRD is installed)."""
        try:
            self._requests.path(kind, None, None)
        except KindUnknown:
            return False
        return True

    def plural(self, kind: Kind) -> str:
        """The resource name of a kind (``daemonsets``). Raises :class:`~conformance.kube.errors.KindUnknown`."""
        return self._requests.plural(kind)

    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes that ordinary pods may run on, sorted: neither cordoned nor tainted against them."""
        return tuple(sorted(node["metadata"]["name"] for node in self.list(NODE).items if _schedulable(node)))

    # -- read -----------------------------------------------------------------------------------------------------

    def get(self, ref: Ref) -> Manifest:
        """The object. Raises :class:`~conformance.kube.errors.NotFound`, also when ``ref.uid`` is another one's."""
        answer = self._call(f"get {ref}", "get", ref.kind, ref.name, ref.namespace)
        if ref.uid and dig(answer, "metadata", "uid") != ref.uid:
            raise NotFound(f"get {ref}", 404, "NotFound", f"only a namesake with another uid than {ref.uid} exists")
        return answer

    def find(self, ref: Ref) -> Manifest | None:
        """The object, or None when it does not exist."""
        try:
            return self.get(ref)
        except NotFound:
            return None

    def list(self, kind: Kind, namespace: str = "", *, labels: str | None = None, fields: str | None = None) -> Listing:
        """All objects of a kind; ``namespace`` empty means every namespace. Selectors in kubectl's syntax."""
        answer = self._call(
            f"list {kind} in {namespace or 'all namespaces'}",
            "get",
            kind,
            None,
            namespace,
            label_selector=labels,
            field_selector=fields,
        )
        # items of a list carry neither apiVersion nor kind on a real API server
        named = ({"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in answer.get("items") or [])
        return Listing(tuple(named), str(dig(answer, "metadata", "resourceVersion", default="")))

    def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        name: str | None = None,
        resource_version: str | None = None,
        labels: str | None = None,
        seconds: float = 30.0,
    ) -> Iterator[WatchEvent]:
        """Changes after ``resource_version``, for at most ``seconds``.

        Ends quietly then, or when the server ends the stream. Raises :class:`~conformance.kube.errors.Expired` when
        the version is too old: list again and watch from there.
        """
        what = f"watch {kind}{' ' + name if name else ''}"
        with _translated(what):
            stream = self._requests.send(
                "get",
                self._requests.path(kind, None, namespace or None),
                timeout=(CALL_SECONDS[0], seconds + 5.0),
                watch="true",
                field_selector=f"metadata.name={name}" if name else None,
                label_selector=labels,
                resource_version=resource_version,
                timeout_seconds=max(1, round(seconds)),
            )
            try:
                for line in _lines(stream):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _from_body(what, int(event["object"].get("code", 500)), event["object"])
                    yield WatchEvent(event["type"], event["object"])
            finally:
                stream.close()

    # -- write ----------------------------------------------------------------------------------------------------

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object and return it as the server stored it. Recorded in the ledger unless it is a dry run."""
        ref = Ref.of(manifest)
        if self.ledger is None or dry_run:
            return self._post(ref, manifest, dry_run)
        with self.ledger.making(ref) as entry:
            made = self._post(ref, manifest, dry_run)
            entry.made(Ref.of(made))
        return made

    def apply(self, manifest: Manifest, *, manager: str = FIELD_MANAGER, force: bool = False) -> Manifest:
        """Server-side apply. An object that did not exist before is recorded in the ledger.

        Raises :class:`~conformance.kube.errors.Conflict` when another manager owns a field and not ``force``.
        """
        ref = Ref.of(manifest)
        if self.ledger is None or self.find(ref) is not None:
            return self._apply(ref, manifest, manager, force)
        with self.ledger.making(ref) as entry:
            made = self._apply(ref, manifest, manager, force)
            entry.made(Ref.of(made))
        return made

    def patch(
        self,
        ref: Ref,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        type: Literal["merge", "json", "strategic"] = "merge",
        subresource: str = "",
    ) -> Manifest:
        """Patch one object: RFC 7396 ``merge``, RFC 6902 ``json``, or strategic (built-in kinds only)."""
        return self._call(
            f"patch {ref}",
            "patch",
            ref.kind,
            ref.name,
            ref.namespace,
            body=body,
            subresource=subresource,
            content_type=_PATCH_TYPES[type],
            field_manager=FIELD_MANAGER,
        )

    def delete(
        self,
        ref: Ref,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """Ask for deletion, by uid when ``ref`` has one; False when it is gone already (or is another incarnation)."""
        body: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if ref.uid:
            body["preconditions"] = {"uid": ref.uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self._call(f"delete {ref}", "delete", ref.kind, ref.name, ref.namespace, body=body)
        except NotFound:
            return False
        except ApiError as error:
            if error.code == 409 and ref.uid:
                return False
            raise
        return True

    def evict(self, ref: Ref) -> None:
        """Ask for the eviction of a pod (what a drain does). A refusal raises an ApiError with code 429."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
        }
        self._call(f"evict {ref}", "post", ref.kind, ref.name, ref.namespace, body=body, subresource="eviction")

    # -- plumbing -------------------------------------------------------------------------------------------------

    def raw(self, method: str, path: str, *, accept: str = "*/*", body: Manifest | None = None) -> bytes:
        """A request to any path, for subresources. KubeVirt's answer 406 to ``Accept: application/json``."""
        with _translated(f"{method} {path}"):
            return bytes(self._requests.send(method, path, accept=accept, body=body).data)

    def _post(self, ref: Ref, manifest: Manifest, dry_run: bool) -> Manifest:
        return self._call(
            f"create {ref}",
            "post",
            ref.kind,
            None,
            ref.namespace,
            body=manifest,
            dry_run="All" if dry_run else None,
            field_manager=FIELD_MANAGER,
        )

    def _apply(self, ref: Ref, manifest: Manifest, manager: str, force: bool) -> Manifest:
        return self._call(
            f"apply {ref}",
            "patch",
            ref.kind,
            ref.name,
            ref.namespace,
            body=manifest,
            content_type="application/apply-patch+yaml",
            field_manager=manager,
            force_conflicts="true" if force else None,
        )

    def _call(
        self,
        what: str,
        method: str,
        kind: Kind,
        name: str | None,
        namespace: str,
        *,
        subresource: str = "",
        **options: Any,
    ) -> Manifest:
        with _translated(what):
            path = self._requests.path(kind, name, namespace or None)
            return json_body(self._requests.send(method, f"{path}/{subresource}" if subresource else path, **options))


def namespace_manifest(name: str, labels: Mapping[str, str]) -> Manifest:
    """A Namespace in which virt-launcher pods may run (Pod Security ``privileged``)."""
    enforced = {"pod-security.kubernetes.io/enforce": "privileged", **labels}
    return {**_typed(NAMESPACE), "metadata": {"name": name, "labels": enforced}}


def _schedulable(node: Manifest) -> bool:
    effects = {taint.get("effect") for taint in dig(node, "spec", "taints", default=[])}
    return not dig(node, "spec", "unschedulable") and not effects & {"NoSchedule", "NoExecute"}


def _typed(kind: Kind) -> Manifest:
    return {"apiVersion": kind.api_version, "kind": kind.kind}


def _lines(stream: Answer) -> Iterator[bytes]:
    """The newline-terminated pieces of a chunked response body."""
    rest = b""
    for chunk in stream.stream(amt=None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the client library's exceptions into ours."""
    try:
        yield
    except ApiException as error:
        try:
            body = json.loads(error.body or "{}")
        except ValueError:
            body = {"message": str(error.body)}
        raise _from_body(what, int(error.status or 0), body, str(error.reason)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ConnectionLost(f"{what}: {error}") from error


def _from_body(what: str, code: int, body: Any, reason: str = "") -> ApiError:
    body = body if isinstance(body, dict) else {"message": str(body)}
    causes = tuple(
        Cause(str(c.get("field", "")), str(c.get("reason", "")), str(c.get("message", "")))
        for c in dig(body, "details", "causes", default=[])
    )
    return from_status(what, code, str(body.get("reason") or reason), str(body.get("message", "")), causes)

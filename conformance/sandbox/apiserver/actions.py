"""Subresources and kinds that act instead of being stored: reviews, eviction, binding, tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from conformance.sandbox.apiserver.accounts import TOKEN_SECONDS
from conformance.sandbox.apiserver.admission import AdmissionRequest, User
from conformance.sandbox.apiserver.authorization.reviews import AccessReviews
from conformance.sandbox.apiserver.errors import KubeObject, StatusError, bad_request
from conformance.sandbox.apiserver.metadata import now, timestamp
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import DeleteOptions, WriteOptions, private_copy
from conformance.sandbox.apiserver.resources import Resource
from conformance.sandbox.apiserver.tokens import ISSUER, TokenIssuer

SUCCESS: KubeObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_MIN_TOKEN_SECONDS = 600
_EXTENDED_SECONDS = 365 * 24 * 3600


class Actions:
    """What a POST to these does. Every method returns the body of a 201 answer."""

    def __init__(self, operations: Operations, issuer: TokenIssuer, reviews: AccessReviews) -> None:
        self._operations = operations
        self._issuer = issuer
        self._reviews: dict[str, Callable[[KubeObject, User], KubeObject]] = {
            "selfsubjectaccessreviews": reviews.of_self,
            "subjectaccessreviews": reviews.of_other,
            "localsubjectaccessreviews": reviews.of_other,
            "selfsubjectrulesreviews": reviews.rules_of_self,
            "selfsubjectreviews": self._who_am_i,
        }

    def review(self, resource: Resource, body: KubeObject, user: User) -> KubeObject:
        """Answer one of the review kinds."""
        status = self._reviews[resource.plural](body, user)
        return {**body, "apiVersion": resource.api_version, "kind": resource.kind, "status": status}

    def _who_am_i(self, body: KubeObject, user: User) -> KubeObject:
        return {"userInfo": {"username": user.name, "uid": user.uid, "groups": list(user.groups)}}

    def act(self, resource: Resource, obj: KubeObject, body: KubeObject, options: WriteOptions) -> KubeObject:
        """POST to a subresource of a stored object; StatusError 405 for one that is no action."""
        actions = {"eviction": self._evict, "binding": self._bind, "token": self._issue_token}
        action = actions.get(options.subresource)
        if action is None:
            raise StatusError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        return action(resource, obj, body, options)

    def _evict(self, resource: Resource, pod: KubeObject, body: KubeObject, options: WriteOptions) -> KubeObject:
        """Eviction: admission may refuse it (429); otherwise the pod is deleted."""
        metadata = pod["metadata"]
        self._operations.review(
            AdmissionRequest(
                operation="CREATE",
                group=resource.group,
                version=resource.version,
                resource=resource.plural,
                subresource="eviction",
                namespace=metadata["namespace"],
                name=metadata["name"],
                object=body,
                old_object=None,
                dry_run=options.dry_run,
                user=options.user,
                lookup=self._operations.lookup,
                warnings=options.warnings,
                amend=self._operations.amend,
            )
        )
        wanted = _section(body, "deleteOptions")
        preconditions = wanted.get("preconditions") or {}
        delete = DeleteOptions(wanted.get("gracePeriodSeconds"), preconditions.get("uid") or "")
        self._operations.delete(resource, pod, delete, replace(options, subresource=""))
        return SUCCESS

    def _bind(self, resource: Resource, pod: KubeObject, body: KubeObject, options: WriteOptions) -> KubeObject:
        """Binding: what a scheduler does."""
        name = pod["metadata"]["name"]
        node = _section(body, "target").get("name")
        if not isinstance(node, str) or not node:
            raise bad_request("Binding: target.name is required")
        if pod["spec"].get("nodeName"):
            raise resource.conflict(name, f"pod {name} is already assigned to node {pod['spec']['nodeName']!r}")
        bound = private_copy(pod)
        bound["spec"]["nodeName"] = node
        bound = self._operations.update(resource, pod, bound, options.on(""))
        if not options.dry_run:
            scheduled = private_copy(bound)
            condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
            scheduled.setdefault("status", {}).setdefault("conditions", []).append(condition)
            self._operations.update(resource, bound, scheduled, options.on("status"))
        return SUCCESS

    def _issue_token(
        self, resource: Resource, account: KubeObject, body: KubeObject, options: WriteOptions
    ) -> KubeObject:
        """TokenRequest: a token of a ServiceAccount with an end."""
        spec = _section(body, "spec")
        wanted = spec.get("expirationSeconds", 3_600)
        if not isinstance(wanted, int):
            raise bad_request("TokenRequest: spec.expirationSeconds must be an integer")
        seconds = max(wanted, _MIN_TOKEN_SECONDS)
        bound = _section({"ref": spec.get("boundObjectRef") or {}}, "ref")
        pod = {"name": bound.get("name", ""), "uid": bound.get("uid", "")} if bound.get("kind") == "Pod" else None
        # As Kubernetes does by default: a mounted token is good for longer than it says, for clients that read it once.
        valid = _EXTENDED_SECONDS if pod and wanted == TOKEN_SECONDS else seconds
        audiences = tuple(str(entry) for entry in spec.get("audiences") or (ISSUER,))
        metadata = account["metadata"]
        token = self._issuer.issue(
            metadata["namespace"], metadata["name"], metadata["uid"], seconds=valid, audiences=audiences, pod=pod
        )
        expires = timestamp(datetime.fromtimestamp(time.time() + seconds, UTC))
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": {**spec, "expirationSeconds": seconds, "audiences": list(audiences)},
            "status": {"token": token, "expirationTimestamp": expires},
        }


def _section(body: KubeObject, name: str) -> dict[str, Any]:
    section = body.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise bad_request(f"{name} must be an object")
    return section

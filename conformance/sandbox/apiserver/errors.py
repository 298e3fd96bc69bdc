"""Failures as the Kubernetes API words them: `metav1.Status` objects with code, reason and causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

KubeObject = dict[str, Any]
"""A Kubernetes object as decoded JSON. Objects in the store are shared and must never be changed in place."""


class Cause(NamedTuple):
    """One entry of `status.details.causes`."""

    reason: str
    message: str
    field: str


class StatusError(Exception):
    """An answer of the API that is not a success.

    `kind` is the plural resource name, except for `Invalid`, where it is the kind: so does Kubernetes.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = tuple(causes)
        self.retry_after = retry_after
        self._details = {"name": name, "group": group, "kind": kind, "uid": uid}

    def body(self) -> KubeObject:
        """The `Status` object, empty parts left out."""
        details: dict[str, Any] = {key: value for key, value in self._details.items() if value}
        if self.causes:
            details["causes"] = [{k: v for k, v in cause._asdict().items() if v} for cause in self.causes]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        status: KubeObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if details:
            status["details"] = details
        status["code"] = self.code
        return status


def bad_request(message: str) -> StatusError:
    """400: the request itself cannot be understood."""
    return StatusError(400, "BadRequest", message)


def route_not_found() -> StatusError:
    """404 for a path or a resource type that is not served (an absent *object* has its own wording)."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> StatusError:
    """405: the path exists, the verb does not."""
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    """415, naming what would have been understood."""
    return StatusError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted),
    )


def too_large(limit: int) -> StatusError:
    """413: the body is over `limit` bytes."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def expired(message: str) -> StatusError:
    """410: the wanted resourceVersion or continue token is out of the retained history."""
    return StatusError(410, "Expired", message)

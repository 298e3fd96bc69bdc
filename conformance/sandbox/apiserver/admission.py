"""The admission seam: one function that sees every write, after schema validation and before it is stored.

The function is named on the command line (`--admission package.module:function`) and has the shape of
:data:`AdmissionHook`. It stands for every mutating and validating webhook of a cluster at once:

* it returns the object to store (the one it was given, or a changed copy; for deletions the result is ignored);
* it refuses by raising :class:`AdmissionDenied`;
* it may append texts to `request.warnings`, which the client gets as `Warning` headers.

It runs inside the server's event loop, so it must not block.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError

Operation = Literal["CREATE", "UPDATE", "DELETE"]
Lookup = Callable[[str, str, str, str], KubeObject | None]
"""`lookup(group, plural, namespace, name)`: the stored object or None; namespace is "" for cluster-wide kinds."""
Amend = Callable[[str, str, str, str, KubeObject], None]
"""`amend(group, plural, namespace, name, patch)`: a webhook's own write to another object, as a merge patch."""


@dataclass(frozen=True)
class User:
    """Who sends a request, as authentication established it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdmissionRequest:
    """One write under review (what `admission.k8s.io/v1 AdmissionRequest` carries).

    `object` is the new object (None for DELETE), a private copy that may be changed and returned; `old_object` the
    stored one (None for CREATE), shared, never to be changed. `subresource` is "" or for instance "status"; an
    eviction is a CREATE of `pods` with subresource "eviction", whose `object` is the `policy/v1 Eviction`.
    """

    operation: Operation
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    object: KubeObject | None
    old_object: KubeObject | None
    dry_run: bool
    user: User
    lookup: Lookup
    warnings: list[str] = field(default_factory=list)
    amend: Amend = lambda *_: None


class AdmissionDeniedError(Exception):
    """The write is refused.

    `message` is sent as it is, so it contains the webhook's own preamble (`admission webhook "..." denied the
    request: ...`). `reason` defaults to the usual one of the code; 400 has none, as webhooks leave it empty.
    """

    def __init__(
        self, code: int, message: str, causes: Sequence[Cause] = (), *, reason: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.causes = tuple(causes)
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.retry_after = retry_after

    def as_status(self) -> StatusError:
        """The same refusal as the API answers it."""
        return StatusError(self.code, self.reason, self.message, causes=self.causes, retry_after=self.retry_after)


AdmissionDenied = AdmissionDeniedError
AdmissionHook = Callable[[AdmissionRequest], KubeObject | None]

_REASONS = {403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError"}


def load_hook(reference: str) -> AdmissionHook:
    """Import `package.module:function`; ValueError when it is not one."""
    module_name, _, function_name = reference.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--admission {reference}: {error}; want package.module:function") from error
    if not callable(hook):
        raise ValueError(f"--admission {reference}: {function_name} is not a function")
    loaded: AdmissionHook = hook
    return loaded


def admit_everything(request: AdmissionRequest) -> KubeObject | None:
    """The hook of a cluster without webhooks."""
    return request.object

"""What can go wrong between us and the API server, named by situation.

Root: :class:`KubeError`. An error that says nothing about the binding is also an
:class:`~conformance.kube.outcome.EnvironmentFault`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.kube.outcome import EnvironmentFault, NonConformant
from conformance.kube.timeouts import Limit


class KubeError(Exception):
    """Root of this layer."""


@dataclass(frozen=True)
class Cause:
    """One entry of ``status.details.causes``: the field, the reason and the text."""

    field: str
    reason: str
    message: str


class ApiError(KubeError):
    """The API server answered a request with a ``Status`` of failure.

    ``code`` is the HTTP status, ``reason`` the machine-readable word (``NotFound``), ``message`` the text of the server
    unchanged, ``causes`` its details, ``what`` the request in words (``create Pod ns/name``).
    """

    def __init__(self, what: str, code: int, reason: str, message: str, causes: Sequence[Cause] = ()) -> None:
        super().__init__(f"{what}: HTTP {code} {reason}: {message}")
        self.what, self.code, self.reason, self.message, self.causes = what, code, reason, message, tuple(causes)


class NotFound(ApiError):
    """404: the object, or the kind itself, does not exist."""


class Conflict(ApiError):
    """409: a stale resourceVersion, an apply conflict or a failed delete precondition."""


class AlreadyExists(Conflict):
    """409 with reason AlreadyExists."""


class Forbidden(ApiError, EnvironmentFault):
    """401 or 403: the kubeconfig's user may not do this."""


class Rejected(ApiError):
    """400 or 422: validation or an admission webhook refused the object."""


class Expired(ApiError):
    """410: the resourceVersion to watch or continue from is too old."""


class ServerFault(ApiError, EnvironmentFault):
    """429 or 5xx: the API server itself is in trouble."""


class ConnectionLost(KubeError, EnvironmentFault):
    """The API server cannot be reached, or the connection broke under a request."""


class KindUnknown(KubeError, EnvironmentFault):
    """The cluster does not serve this kind: a CRD (KubeVirt, Multus) is missing."""


class Unusable(KubeError, EnvironmentFault):
    """A kubeconfig, a context or a cluster that cannot be used at all; the message says what to do about it."""


class WaitError(KubeError):
    """A wait that ended without what it waited for: ``wanted``, what was ``seen`` last, after ``seconds``."""

    def __init__(self, wanted: str, seen: str, seconds: float, why: str) -> None:
        super().__init__(f"{why} after {seconds:.1f} s\n  wanted: {wanted}\n  saw last: {seen}")
        self.wanted, self.seen, self.seconds = wanted, seen, seconds


class BoundExceeded(WaitError, NonConformant):
    """A conformance bound passed."""


class PatienceExceeded(WaitError, EnvironmentFault):
    """Our patience ended; no requirement limits this."""


class OverQuota(WaitError, EnvironmentFault):
    """A ResourceQuota of the namespace keeps KubeVirt from creating the pod that was waited for."""


class ImageMissing(WaitError, EnvironmentFault):
    """An image could not be pulled that is not the binding's: of a guest's disk, or one of KubeVirt's own."""


class Stopped(WaitError, NonConformant):
    """A terminal state was reached that rules out what was wanted, for instance a VMI that became ``Failed``."""


def expired(wanted: str, seen: str, seconds: float, limit: Limit) -> WaitError:
    """The error of a wait whose deadline passed, by the kind of deadline."""
    if limit is Limit.BOUND:
        return BoundExceeded(wanted, seen, seconds, "the time this requirement allows passed")
    return PatienceExceeded(wanted, seen, seconds, "gave up")


def from_status(what: str, code: int, reason: str, message: str, causes: Sequence[Cause] = ()) -> ApiError:
    """The error for a ``Status`` answer, typed by HTTP code and reason."""
    kinds: dict[int, type[ApiError]] = {
        400: Rejected,
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        409: AlreadyExists if reason == "AlreadyExists" else Conflict,
        410: Expired,
        422: Rejected,
        429: ServerFault,
    }
    error = kinds.get(code, ServerFault if code >= 500 else ApiError)
    return error(what, code, reason, message, causes)

"""Who a request comes from, and whether it is allowed."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.errors import StatusError
from conformance.sandbox.apiserver.kinds import PODS, SERVICE_ACCOUNTS
from conformance.sandbox.apiserver.store import Store
from conformance.sandbox.apiserver.tokens import TokenIssuer, account_of

AUTHENTICATED = "system:authenticated"
PeerCertificate = Mapping[str, Any]
"""What `ssl.SSLSocket.getpeercert` returns."""


@dataclass(frozen=True)
class Attributes:
    """What a request wants to do: on a resource, or (`resource` empty) on a plain path such as `/version`."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Decision(NamedTuple):
    """An authorizer's answer; `reason` says by what right, where there is one to name."""

    allowed: bool
    reason: str = ""


Authorizer = Callable[[User, Attributes], Decision]


def forbidden(user: User, attributes: Attributes) -> StatusError:
    """403 in the words of Kubernetes' authorizers."""
    wanted = attributes
    if not wanted.resource:
        message = f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
        return StatusError(403, "Forbidden", message)
    named = (
        f'{wanted.resource}.{wanted.group} "{wanted.name}"' if wanted.group else f'{wanted.resource} "{wanted.name}"'
    )
    subject = named if wanted.name else named.rpartition(" ")[0]
    resource = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {wanted.verb} resource "{resource}" '
        f'in API group "{wanted.group}" {where}'
    )
    return StatusError(403, "Forbidden", message, name=wanted.name, group=wanted.group, kind=wanted.resource)


class Authenticator:
    """Client certificates signed by the server's CA, static tokens, ServiceAccount tokens; nobody is anonymous."""

    def __init__(self, store: Store, issuer: TokenIssuer, users: Mapping[str, User]) -> None:
        self._store = store
        self._issuer = issuer
        self._users = dict(users)

    def authenticate(self, certificate: PeerCertificate | None, authorization: str) -> User:
        """The user of a request; StatusError 401 when there is none. A token counts before a certificate."""
        scheme, _, token = authorization.partition(" ")
        user = None
        if scheme.lower() == "bearer":
            user = self._by_token(token.strip())
        elif certificate:
            user = _by_certificate(certificate)
        if user is None:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return user

    def _by_token(self, token: str) -> User | None:
        for known, user in self._users.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        claims = self._issuer.verify(token)
        if claims is None:
            return None
        namespace, name, uid = account_of(claims)
        account = self._store.get(SERVICE_ACCOUNTS, namespace, name)
        if account is None or account["metadata"]["uid"] != uid:
            return None
        if (bound := claims["kubernetes.io"].get("pod")) is not None:
            pod = self._store.get(PODS, namespace, bound["name"])
            if pod is None or pod["metadata"]["uid"] != bound["uid"]:
                return None
        return User(claims["sub"], uid, groups_of_account(namespace))


def groups_of_account(namespace: str) -> tuple[str, ...]:
    """The groups of every ServiceAccount of a namespace."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED


def _by_certificate(certificate: PeerCertificate) -> User | None:
    """Common name and organisations of the subject, as Kubernetes reads them."""
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in pairs if key == "commonName"]
    groups = tuple(value for key, value in pairs if key == "organizationName")
    return User(names[0], groups=(*groups, AUTHENTICATED)) if names else None

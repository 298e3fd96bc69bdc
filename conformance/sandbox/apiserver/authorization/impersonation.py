"""Acting as somebody else: the `Impersonate-*` headers, each of which needs the verb `impersonate`."""

from __future__ import annotations

from multidict import CIMultiDictProxy

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.auth import AUTHENTICATED, Attributes, Authorizer, forbidden, groups_of_account
from conformance.sandbox.apiserver.errors import StatusError, bad_request

_ACCOUNT = "system:serviceaccount:"


def impersonated(user: User, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> User:
    """The user that the request acts as: the sender, unless the headers say otherwise. StatusError 400 or 403."""
    name = headers.get("Impersonate-User", "")
    groups = tuple(headers.getall("Impersonate-Group", []))
    uid = headers.get("Impersonate-Uid", "")
    if not name:
        if groups or uid:
            raise bad_request("requested impersonation without impersonating a user")
        return user
    for attributes in _needed(name, groups, uid):
        if not authorizer(user, attributes).allowed:
            raise forbidden(user, attributes)
    if name.startswith(_ACCOUNT) and not groups:
        return User(name, uid, groups_of_account(name.split(":")[2]))
    return User(name, uid, groups if AUTHENTICATED in groups else (*groups, AUTHENTICATED))


def _needed(name: str, groups: tuple[str, ...], uid: str) -> list[Attributes]:
    needed = [Attributes("impersonate", "", "v1", "users", name=name)]
    if name.startswith(_ACCOUNT):
        namespace, separator, account = name.removeprefix(_ACCOUNT).partition(":")
        if not separator:
            raise StatusError(400, "BadRequest", f"invalid service account name: {name}")
        needed = [Attributes("impersonate", "", "v1", "serviceaccounts", namespace=namespace, name=account)]
    needed += [Attributes("impersonate", "", "v1", "groups", name=group) for group in groups]
    if uid:
        needed.append(Attributes("impersonate", "authentication.k8s.io", "v1", "uids", name=uid))
    return needed

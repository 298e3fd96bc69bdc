"""Bearer tokens: a static file for named users, and signed tokens for ServiceAccounts.

ServiceAccount tokens are JWTs (RFC 7519, HS256) with the claims that Kubernetes puts into bound tokens; only this
server can verify them.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from conformance.sandbox.apiserver.admission import User

ISSUER = "https://kubernetes.default.svc"


def read_token_file(path: Path) -> dict[str, User]:
    """Users by token, from Kubernetes' static token file: `token,user,uid,"group1,group2"` lines.

    Raises ValueError naming file and line when a line has fewer than three fields.
    """
    users: dict[str, User] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row:
                continue
            if len(row) < 3:
                raise ValueError(f"{path}:{number}: want token,user,uid[,groups], found {len(row)} fields")
            groups = tuple(group.strip() for group in row[3].split(",")) if len(row) > 3 else ()
            users[row[0]] = User(row[1], row[2], (*groups, "system:authenticated"))
    return users


class TokenIssuer:
    """Issues and verifies ServiceAccount tokens; the key lives as long as the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(
        self,
        namespace: str,
        account: str,
        uid: str,
        *,
        seconds: int | None,
        audiences: tuple[str, ...] = (ISSUER,),
        pod: Mapping[str, str] | None = None,
    ) -> str:
        """A token for a ServiceAccount; it never expires when `seconds` is None.

        `pod` (name and UID) binds it: it ends with that pod.
        """
        issued = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": list(audiences),
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": issued,
            "nbf": issued,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
        }
        if pod is not None:
            claims["kubernetes.io"]["pod"] = dict(pod)
        if seconds is not None:
            claims["exp"] = issued + seconds
        signed = f"{_encode(orjson.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_encode(orjson.dumps(claims))}"
        return f"{signed}.{_encode(self._sign(signed))}"

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this server signed and that is still valid; else None."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _encode(self._sign(signed)).encode()):
            return None
        try:
            claims: dict[str, Any] = orjson.loads(_decode(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims if claims.get("exp", time.time() + 1) > time.time() else None

    def _sign(self, signed: str) -> bytes:
        return hmac.digest(self._key, signed.encode(), hashlib.sha256)


def account_of(claims: dict[str, Any]) -> tuple[str, str, str]:
    """(namespace, name, uid) of the ServiceAccount that claims speak of."""
    bound = claims["kubernetes.io"]
    return bound["namespace"], bound["serviceaccount"]["name"], bound["serviceaccount"]["uid"]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""Keeping secrets out of evidence: keys, tokens and passwords are replaced before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REMOVED = "(removed)"

_TEXT = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REMOVED),
    # JSON web tokens: service account tokens in logs and environments
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"), REMOVED),
    # what cloud-init tells a guest, in a VMI that somebody wrote into a log
    (re.compile(r"(?i)\b((?:user|network)data(?:base64)?)(\\?\"?\s*[:=]\s*\\?\"?)[^\s\",}\\]+"), rf"\1\2{REMOVED}"),
    (re.compile(r"(?i)\b(authorization:\s*(?:bearer|basic))\s+\S+"), rf"\1 {REMOVED}"),
    (re.compile(r"(?i)\b(password|passwd|token|secret)(\"?\s*[:=]\s*\"?)[^\s\",}]+"), rf"\1\2{REMOVED}"),
)
_SECRET_FIELDS = frozenset(
    {
        "userDataBase64",
        "userData",
        "networkDataBase64",
        "token",
        "password",
        "client-key-data",
        "client-certificate-data",
    }
)


def redact_text(text: str) -> str:
    """The text without private keys, tokens and passwords."""
    for pattern, replacement in _TEXT:
        text = pattern.sub(replacement, text)
    return text


def redact_object(value: Any) -> Any:
    """A JSON value without secrets: data of Secrets, cloud-init user data (it holds host keys), texts as above."""
    if isinstance(value, Mapping):
        if value.get("kind") == "Secret":
            hidden = {key: dict.fromkeys(value[key], REMOVED) for key in ("data", "stringData") if value.get(key)}
            value = {**value, **hidden}
        return {key: REMOVED if key in _SECRET_FIELDS else redact_object(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact_object(inner) for inner in value]
    return redact_text(value) if isinstance(value, str) else value

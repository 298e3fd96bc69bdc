"""Whether an object of a cluster is what a manifest says, the server's additions aside."""

from __future__ import annotations

import json
from typing import Any

_JSON_STARTS = ("{", "[")


def difference(found: Any, wanted: Any, path: str = "") -> str:
    """The first place (``spec.config``) where ``found`` is not what ``wanted`` says; empty when it is all there.

    What the server added counts for nothing; texts that hold JSON are compared as what they hold.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        steps = ((f"{path}.{key}".lstrip("."), found.get(key), value) for key, value in wanted.items())
    elif isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted):
        steps = ((f"{path}[{i}]", mine, value) for i, (mine, value) in enumerate(zip(found, wanted, strict=True)))
    else:
        same = _content(found) == _content(wanted) or (found is None and wanted in ({}, []))
        return "" if same else path or "(root)"
    return next((wrong for at, mine, value in steps if (wrong := difference(mine, value, at))), "")


def _content(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith(_JSON_STARTS):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value

"""Unknown fields of a write: dropped in silence, with a warning, or refused, as `fieldValidation` says."""

from __future__ import annotations

import json

from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError, bad_request
from conformance.sandbox.apiserver.options import WriteOptions
from conformance.sandbox.apiserver.resources import Resource


def report_unknown(resource: Resource, obj: KubeObject, unknown: list[str], options: WriteOptions) -> None:
    """Warn of the unknown fields, or refuse them: 422 for a patch, quoting the patched object whole, else 400."""
    texts = [f'unknown field "{path}"' for path in unknown]
    if options.validation == "Warn":
        options.warnings.extend(texts)
        return
    text = "strict decoding error: " + ", ".join(texts)
    if options.patch:
        dump = json.dumps(json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        said = f"Invalid value: {dump}: {text}"
        cause = Cause("FieldValueInvalid", said, "patch")
        raise StatusError(422, "Invalid", f' "" is invalid: patch: {said}', causes=[cause])
    kind = resource.kind
    raise bad_request(f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {text}')

"""Results of CNI plugins, as libcni 1.3 reads them: in the version they say, or else in that of the configuration.

Source: the CNI specification 0.3.1-1.1.0 and the behaviour and texts of libcni (`pkg/invoke`, `pkg/types`).
"""

import ipaddress

from conformance.sandbox.network.gojson import GoJsonError, parse_object
from conformance.sandbox.network.pods import Json

RESULT_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
_FAMILY_VERSIONS = ("0.3.0", "0.3.1", "0.4.0")
"""The versions whose `ips` say which family each is of, as `version`: "4" or "6"."""
_LISTS = {"interfaces": "[]*{0}.Interface", "ips": "[]*{0}.IPConfig", "routes": "[]*types.Route"}


class ResultError(Exception):
    """What a plugin printed is no result; the text is libcni's."""


def read_result(stdout: bytes, configured: str) -> Json:
    """The result that a plugin printed; `cniVersion` is always there. Raises ResultError."""
    try:
        result = parse_object(stdout)
    except GoJsonError as error:
        raise ResultError(f"failed to unmarshal raw result: {error}") from error
    version = result.get("cniVersion")
    if not isinstance(version, str) or not version:
        version = configured or RESULT_VERSIONS[0]
    if version not in RESULT_VERSIONS:
        raise ResultError(f'unsupported CNI result version "{version}"')
    _require_shape(result, "types100" if version.startswith("1.") else "types040")
    return {**result, "cniVersion": version}


def as_version(result: Json, version: str) -> Json:
    """A result that was read, in the shape of another version: what a plugin of that version is given as its previous.

    Versions without `interfaces` (0.1.0, 0.2.0) are left as they are.
    """
    ips = result.get("ips")
    if not isinstance(ips, list) or not version or result.get("cniVersion") == version:
        return result
    bare = [{key: value for key, value in entry.items() if key != "version"} for entry in ips]
    if version in _FAMILY_VERSIONS:
        bare = [{"version": str(ipaddress.ip_interface(entry["address"]).version), **entry} for entry in bare]
    return {**result, "cniVersion": version, "ips": bare}


def _require_shape(result: Json, package: str) -> None:
    """Lists of objects, addresses that are some; Go refuses anything else while it reads the JSON."""
    for key, kind in _LISTS.items():
        value = result.get(key)
        if value is None:
            continue
        refused = f"into Go struct field Result.{key} of type"
        if not isinstance(value, list):
            raise ResultError(f"json: cannot unmarshal {_kind(value)} {refused} {kind.format(package)}")
        for entry in value:
            if not isinstance(entry, dict):
                element = kind.format(package).removeprefix("[]*")
                raise ResultError(f"json: cannot unmarshal {_kind(entry)} {refused} {element}")
            for field in {"ips": ("address",), "routes": ("dst",)}.get(key, ()):
                _require_prefix(str(entry.get(field, "")))


def _require_prefix(text: str) -> None:
    try:
        if "/" not in text:
            raise ValueError(text)
        ipaddress.ip_interface(text)
    except ValueError:
        raise ResultError(f"invalid CIDR address: {text}") from None


def _kind(value: object) -> str:
    """What Go's encoding/json calls a value."""
    kinds = ((bool, "bool"), (str, "string"), (dict, "object"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "number")

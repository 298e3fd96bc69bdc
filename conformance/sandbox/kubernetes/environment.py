"""A container's environment: `env` and `envFrom`, with what they take from ConfigMaps, Secrets and the pod itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from conformance.sandbox.client import CONFIG_MAPS, SECRETS, ApiClient, Object
from conformance.sandbox.kubernetes.volumes import KUBERNETES_PORT, KUBERNETES_SERVICE, field_value

_REFERENCE = re.compile(r"\$\$|\$\(([^)]+)\)")


class ContainerEnvironmentError(Exception):
    """The environment cannot be made; the text is the kubelet's, for `CreateContainerConfigError`."""


async def environment(client: ApiClient, pod: Object, container: Object) -> dict[str, str]:
    """All variables of `container`: where the API is, `envFrom`, `env`; the later go before the earlier.

    Raises ContainerEnvironmentError.
    """
    found = {"KUBERNETES_SERVICE_HOST": KUBERNETES_SERVICE, "KUBERNETES_SERVICE_PORT": str(KUBERNETES_PORT)}
    for source in container.get("envFrom") or []:
        secret = "secretRef" in source
        reference = source["secretRef" if secret else "configMapRef"]
        data = await _data(client, pod, reference, secret=secret)
        found |= {source.get("prefix", "") + key: value for key, value in data.items()}
    for entry in container.get("env") or []:
        value = await _value(client, pod, entry)
        if value is not None:
            found[entry["name"]] = expanded(value, found) if "value" in entry else value
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """The text with each `$(NAME)` of a variable replaced; one of no variable stays, and `$$` is a dollar sign."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else variables.get(m[1], m[0]), text)


async def _value(client: ApiClient, pod: Object, entry: Object) -> str | None:
    source = entry.get("valueFrom") or {}
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    for kind, secret in (("configMapKeyRef", False), ("secretKeyRef", True)):
        if reference := source.get(kind):
            data = await _data(client, pod, reference, secret=secret)
            if reference["key"] not in data and not reference.get("optional"):
                what = "Secret" if secret else "ConfigMap"
                place = f"{pod['metadata']['namespace']}/{reference['name']}"
                raise ContainerEnvironmentError(f"couldn't find key {reference['key']} in {what} {place}")
            return data.get(reference["key"])
    return str(entry.get("value", ""))


async def _data(client: ApiClient, pod: Object, reference: Object, *, secret: bool) -> Mapping[str, str]:
    kind, resource = ("secret", SECRETS) if secret else ("configmap", CONFIG_MAPS)
    found = await client.find(resource, pod["metadata"]["namespace"], reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ContainerEnvironmentError(f'{kind} "{reference["name"]}" not found')
    data: dict[str, str] = found.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()} if secret else data

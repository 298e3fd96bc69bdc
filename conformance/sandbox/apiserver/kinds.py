"""What the server does for single built-in kinds on a write: defaults that need code, immutability, grace periods.

Source: the Kubernetes API reference and API concepts for each kind.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from typing import Any

from conformance.sandbox.apiserver.errors import Cause, KubeObject, bad_request
from conformance.sandbox.apiserver.resources import ResourceKey
from conformance.sandbox.quantities import parse_quantity

NAMESPACES: ResourceKey = ("", "namespaces")
PODS: ResourceKey = ("", "pods")
QUOTAS: ResourceKey = ("", "resourcequotas")
SECRETS: ResourceKey = ("", "secrets")
SERVICES: ResourceKey = ("", "services")
SERVICE_ACCOUNTS: ResourceKey = ("", "serviceaccounts")
JOBS: ResourceKey = ("batch", "jobs")
CRDS: ResourceKey = ("apiextensions.k8s.io", "customresourcedefinitions")

CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class KindRules:
    """The rules of a kind without special ones."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        """Fill in what a client leaves to the server, in place. `old` is None on creation."""

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        """What the schema cannot say is wrong."""
        return []

    def grace_seconds(self, obj: KubeObject, requested: int | None) -> int:
        """How long a deletion waits for the object's owner on the node; 0 deletes at once."""
        return 0


class NamespaceRules(KindRules):
    """A namespace has the finalizer `kubernetes` in its spec, taken off when it is empty."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
        name = obj["metadata"].get("name")
        if name:
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


class SecretRules(KindRules):
    """`stringData` becomes base64 `data`."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        plain = obj.pop("stringData", None) or {}
        if plain and isinstance(plain, Mapping):
            data = obj.get("data") or {}
            obj["data"] = {**data, **{key: _base64(value) for key, value in plain.items()}}

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        for key, value in (obj.get("data") or {}).items():
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error as error:
                raise bad_request(f"Secret data {key}: illegal base64 data: {error}") from error
        return []


def _base64(value: object) -> str:
    if not isinstance(value, str):
        raise bad_request("Secret stringData must be a map of strings")
    return base64.b64encode(value.encode()).decode()


class PodRules(KindRules):
    """Defaults of the pod spec, its immutability, and graceful deletion of pods that run on a node."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        spec = obj.get("spec")
        if not isinstance(spec, dict):
            return
        for container in _containers(spec):
            image = str(container.get("image", ""))
            latest = image.endswith(":latest") or ":" not in image.rpartition("/")[2]
            container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": _qos_class(spec)}

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        for container in _containers(obj["spec"]):
            resources = container.get("resources") or {}
            for part in ("requests", "limits"):
                _check_quantities("Pod", resources.get(part))
        if old is None or _frozen_spec(obj["spec"], old["spec"]) == _frozen_spec(old["spec"], old["spec"]):
            return []
        message = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
            "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
            "negative)"
        )
        return [Cause("FieldValueForbidden", message, "spec")]

    def grace_seconds(self, obj: KubeObject, requested: int | None) -> int:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            return 0
        return int(spec.get("terminationGracePeriodSeconds", 30) if requested is None else requested)


def _check_quantities(kind: str, amounts: object) -> None:
    """400 for an amount that is none."""
    for value in amounts.values() if isinstance(amounts, Mapping) else ():
        try:
            parse_quantity(value)
        except ValueError as error:
            raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {error}') from error


def _containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return [container for container in listed if isinstance(container, dict)]


def _frozen_spec(spec: KubeObject, old: KubeObject) -> KubeObject:
    """The part of a pod spec that stays as it is; binding an unbound pod to a node is allowed."""
    changeable = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}
    if not old.get("nodeName"):
        changeable.add("nodeName")
    frozen = {key: value for key, value in spec.items() if key not in changeable}
    for key in ("containers", "initContainers"):
        if key in frozen:
            frozen[key] = [{k: v for k, v in c.items() if k not in ("image", "imagePullPolicy")} for c in frozen[key]]
    return frozen


def _qos_class(spec: KubeObject) -> str:
    resources = [container.get("resources") or {} for container in _containers(spec)]
    if not any(entry.get("requests") or entry.get("limits") for entry in resources):
        return "BestEffort"
    for entry in resources:
        limits = entry.get("limits") or {}
        requests = {**limits, **(entry.get("requests") or {})}
        if not {"cpu", "memory"} <= limits.keys() or any(requests[name] != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


class ServiceRules(KindRules):
    """Cluster addresses, families and port defaults of services, on a dual-stack cluster that prefers IPv4."""

    def __init__(self, addresses: str = "10.96.0.0/16", addresses6: str = "fd00:10:96::/112") -> None:
        self._networks = {"IPv4": ipaddress.ip_network(addresses), "IPv6": ipaddress.ip_network(addresses6)}
        self._next = 10

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        spec = obj.setdefault("spec", {})
        if not isinstance(spec, dict):
            return
        for port in spec.get("ports") or []:
            if isinstance(port, dict) and "port" in port:
                port.setdefault("targetPort", port["port"])
        if spec.get("type", "ClusterIP") == "ExternalName":
            return
        before = (old or {}).get("spec") or {}
        families = _families(spec, before)
        spec["ipFamilies"] = families
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        given = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else before.get("clusterIPs"))
        if given and given[0] == "None":
            spec["clusterIPs"] = ["None"]
        else:
            asked = [address for address in given or [] if address]
            spec["clusterIPs"] = asked[: len(families)] + [self._allocate(family) for family in families[len(asked) :]]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        before, after = ((part or {}).get("spec", {}).get("clusterIP") for part in (old, obj))
        if before and after and before != after:
            message = f'Invalid value: "{after}": may not change once set'
            return [Cause("FieldValueInvalid", message, "spec.clusterIPs[0]")]
        return []

    def _allocate(self, family: str) -> str:
        network = self._networks[family]
        self._next = self._next % (network.num_addresses - 2) + 1
        return str(network[self._next])


def _families(spec: KubeObject, before: KubeObject) -> list[str]:
    """The address families of a service: those asked for, completed as its policy says."""
    asked = [str(family) for family in spec.get("ipFamilies") or before.get("ipFamilies") or []]
    if not asked:
        asked = ["IPv6" if ":" in str(spec.get("clusterIP", "")) else "IPv4"]
    if spec.get("ipFamilyPolicy", "SingleStack") == "SingleStack":
        return asked[:1]
    return asked + [family for family in ("IPv4", "IPv6") if family not in asked]


class QuotaRules(KindRules):
    """Limits are quantities, kept in their canonical text. Scope selectors are refused: they would limit nothing."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        spec = obj.get("spec") or {}
        if spec.get("hard"):
            spec["hard"] = {name: str(parse_quantity(value)) for name, value in spec["hard"].items()}

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        spec = obj.get("spec") or {}
        hard = spec.get("hard") or {}
        _check_quantities("ResourceQuota", hard)
        negative = [name for name, value in hard.items() if parse_quantity(value).amount < 0]
        text = "must be greater than or equal to 0"
        causes = [
            Cause("FieldValueInvalid", f'Invalid value: "{hard[name]}": {text}', f"spec.hard[{name}]")
            for name in negative
        ]
        if spec.get("scopeSelector"):
            message = "Forbidden: this server evaluates spec.scopes only"
            causes.append(Cause("FieldValueForbidden", message, "spec.scopeSelector"))
        return causes


class JobRules(KindRules):
    """Defaults of a Job, and the labels by which its pods are found."""

    def prepare(self, obj: KubeObject, old: KubeObject | None) -> None:
        spec = obj["spec"]
        if spec.get("parallelism") is None and spec.get("completions") is None:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
        if old is None and not spec.get("manualSelector"):
            uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
            metadata = spec["template"].setdefault("metadata", {})
            labels = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
            old_labels = {"controller-uid": uid, "job-name": name}
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels, **old_labels}
            spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}

    def causes(self, obj: KubeObject, old: KubeObject | None) -> list[Cause]:
        spec, found = obj["spec"], []
        if (policy := spec["template"]["spec"].get("restartPolicy")) not in ("OnFailure", "Never"):
            text = f'Unsupported value: "{policy}": supported values: "OnFailure", "Never"'
            found.append(Cause("FieldValueNotSupported", text, "spec.template.spec.restartPolicy"))
        if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
            text = "Required value: when completion mode is Indexed"
            found.append(Cause("FieldValueRequired", text, "spec.completions"))
        return found


PLAIN = KindRules()


def built_in_rules() -> dict[ResourceKey, KindRules]:
    """The rules by resource type, with a fresh state (service addresses)."""
    return {
        NAMESPACES: NamespaceRules(),
        JOBS: JobRules(),
        PODS: PodRules(),
        QUOTAS: QuotaRules(),
        SECRETS: SecretRules(),
        SERVICES: ServiceRules(),
    }

"""KubeVirt's admission webhooks as one function of the API server.

Texts and codes as recorded on v1.9.0, and by version as the table of facts has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from conformance.sandbox.apiserver.admission import AdmissionDenied, AdmissionRequest
from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.kubevirt.bindingrules import deprecation_warnings, discontinued_causes
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.defaults import default_migration, default_vm, default_vmi
from conformance.sandbox.kubevirt.facts import NEWEST, VersionFacts, facts_for
from conformance.sandbox.kubevirt.networkrules import boot_order_causes, network_causes
from conformance.sandbox.kubevirt.probes import probe_causes
from conformance.sandbox.kubevirt.ruleview import RuleView

VERSION_VARIABLE: Final = "SANDBOX_KUBEVIRT_VERSION"
KUBEVIRT_VARIABLE: Final = "SANDBOX_KUBEVIRT_CR"
_FACTS: Final[VersionFacts] = facts_for(os.environ.get(VERSION_VARIABLE, NEWEST))
_KUBEVIRT_CR: Final = os.environ.get(KUBEVIRT_VARIABLE, "kubevirt/kubevirt").split("/")
_VMI_WEBHOOK: Final = "virtualmachineinstances-create-validator.kubevirt.io"
_VM_WEBHOOK: Final = "virtualmachine-validator.kubevirt.io"
_MIGRATION_WEBHOOK: Final = "migration-create-validator.kubevirt.io"
_EVICTION_WEBHOOK: Final = "virt-launcher-eviction-interceptor.kubevirt.io"


def admit(request: AdmissionRequest) -> Object | None:
    """The object to store, defaults filled in; `AdmissionDenied` with the webhook's words. None for a deletion."""
    obj = request.object
    if obj is None:
        return None
    if request.resource == "pods" and request.subresource == "eviction":
        _intercept_eviction(request)
    if request.group == "kubevirt.io" and not request.subresource:
        handler = _HANDLERS.get(request.resource)
        if handler is not None:
            handler(request, obj)
    return obj


def _deny(webhook: str, causes: list[Cause], code: int = 422) -> None:
    if not causes:
        return
    messages = ", ".join(cause.message for cause in causes)
    raise AdmissionDenied(code, f'admission webhook "{webhook}" denied the request: {messages}', causes)


def _admit_vmi(request: AdmissionRequest, vmi: Object) -> None:
    if request.operation == "CREATE":
        view = _view(request, vmi.get("spec") or {}, "spec")
        causes = network_causes(view)
        causes *= 2 if _FACTS.causes_twice else 1
        _deny(_VMI_WEBHOOK, discontinued_causes(view) + causes + boot_order_causes(view) + [*probe_causes(view)])
        request.warnings.extend(deprecation_warnings(view))
        default_vmi(vmi, _FACTS)


def _view(request: AdmissionRequest, body: Object, root: str) -> RuleView:
    namespace, name = _KUBEVIRT_CR
    kubevirt = request.lookup("kubevirt.io", "kubevirts", namespace, name) or {}
    return RuleView(body, root, ClusterConfig(kubevirt, _FACTS))


def _admit_kubevirt(request: AdmissionRequest, kubevirt: Object) -> None:
    """The registrations are not looked at; newly listed gates that are not needed any more are warned of."""
    now, before = ClusterConfig(kubevirt, _FACTS), ClusterConfig(request.old_object or {}, _FACTS)
    if now.listed_gates() != before.listed_gates():
        request.warnings.extend(text for _, _, text in now.gate_texts())


def _admit_vm(request: AdmissionRequest, vm: Object) -> None:
    if vm["metadata"].get("deletionTimestamp"):
        return
    template = (vm.get("spec") or {}).get("template")
    if template is None:
        _deny(_VM_WEBHOOK, [Cause("FieldValueRequired", "missing virtual machine template.", "spec.template")])
        return
    if request.operation == "CREATE":
        default_vm(vm, _FACTS)
    view = _view(request, template.get("spec") or {}, "spec.template.spec")
    _deny(_VM_WEBHOOK, network_causes(view))
    request.warnings.extend(deprecation_warnings(view))


def _admit_migration(request: AdmissionRequest, migration: Object) -> None:
    if request.operation != "CREATE":
        return
    name = str((migration.get("spec") or {}).get("vmiName") or "")
    if not name:
        _deny(_MIGRATION_WEBHOOK, [Cause("FieldValueRequired", "vmiName is missing", "spec.vmiName")])
    vmi = request.lookup("kubevirt.io", "virtualmachineinstances", request.namespace, name)
    if vmi is None:
        _refuse_migration(f'the VMI "{request.namespace}/{name}" does not exist')
        return
    if (blocked := conditions.find(vmi, "LiveMigratable")) is not None and blocked["status"] == "False":
        reason, message = blocked.get("reason", ""), blocked.get("message", "")
        _refuse_migration(f"Cannot migrate VMI, Reason: {reason}, Message: {message}")
    state = vmi["status"].get("migrationState") or {}
    if state and not state.get("completed") and not state.get("failed"):
        _refuse_migration(
            f"in-flight migration detected. Active migration job ({state['migrationUid']}) "
            f"is currently already in progress for VMI {name}."
        )
    default_migration(migration)


def _refuse_migration(message: str) -> None:
    raise AdmissionDenied(400, f'admission webhook "{_MIGRATION_WEBHOOK}" denied the request: {message}')


def _intercept_eviction(request: AdmissionRequest) -> None:
    """Launcher pods of VMIs that ask for live migration are not evicted but moved, or kept."""
    pod = request.lookup("", "pods", request.namespace, request.name) or {}
    owners = pod.get("metadata", {}).get("ownerReferences") or []
    owner = next((ref["name"] for ref in owners if ref["kind"] == "VirtualMachineInstance"), None)
    vmi = request.lookup("kubevirt.io", "virtualmachineinstances", request.namespace, owner) if owner else None
    if vmi is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return
    strategy, migratable = vmi["spec"].get("evictionStrategy"), conditions.is_true(vmi, "LiveMigratable")
    if strategy == "LiveMigrate" and not migratable:
        _refuse_eviction(f"VMI {owner} is configured with an eviction strategy but is not live-migratable")
    if strategy not in ("LiveMigrate", "LiveMigrateIfPossible") or not migratable:
        return
    node = pod["spec"].get("nodeName")
    if vmi["status"].get("nodeName") != node:
        _refuse_eviction("Eviction request for target Pod")
    if not request.dry_run and vmi["status"].get("evacuationNodeName") != node:
        patch = {"status": {"evacuationNodeName": node}}
        request.amend("kubevirt.io", "virtualmachineinstances", request.namespace, str(owner), patch)
    _refuse_eviction(f'Eviction triggered evacuation of VMI "{request.namespace}/{owner}"')


def _refuse_eviction(message: str) -> None:
    """A webhook's 429 carries no reason."""
    raise AdmissionDenied(429, f'admission webhook "{_EVICTION_WEBHOOK}" denied the request: {message}', reason="")


_HANDLERS: Final[dict[str, Callable[[AdmissionRequest, Object], None]]] = {
    "kubevirts": _admit_kubevirt,
    "virtualmachineinstances": _admit_vmi,
    "virtualmachines": _admit_vm,
    "virtualmachineinstancemigrations": _admit_migration,
}

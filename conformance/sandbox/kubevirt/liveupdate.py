"""A secondary network that is changed while the VM runs: what needs a restart, and what a migration.

Sources: KubeVirt `pkg/network/{controllers/vm,vmliveupdate/restart,migration/evaluator}.go`. Before the feature gate
`LiveUpdateNADRef` (Beta in 1.8) every change asked for a restart.
"""

from __future__ import annotations

import copy
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig

MIGRATION_REQUIRED: Final = "MigrationRequired"
_GATE: Final = "LiveUpdateNADRef"
_REASON: Final = "AutoMigrationDueToLiveUpdate"


def update_networks(vmi: Object, template: Object, config: ClusterConfig) -> bool:
    """Let the running VMI name the networks that its VM's template names now; whether that changed anything."""
    if not config.gate_enabled(_GATE):
        return False
    wanted, changed = spec.networks({"spec": template["spec"]}), False
    for name, network in spec.networks(vmi).items():
        ours, theirs = network.get("multus"), wanted.get(name, {}).get("multus")
        if ours and theirs and ours["networkName"] != theirs["networkName"]:
            ours["networkName"], changed = theirs["networkName"], True
    return changed


def restart_required(template: Object, vmi: Object, config: ClusterConfig) -> bool:
    """Whether an interface or a network that the VMI runs with is another in the template, and cannot follow it."""
    wanted: Object = {"spec": template["spec"]}
    interfaces = {interface["name"]: _without_state(interface) for interface in spec.interfaces(wanted)}
    if any(interfaces.get(i["name"], _without_state(i)) != _without_state(i) for i in spec.interfaces(vmi)):
        return True
    networks, follows = spec.networks(wanted), config.gate_enabled(_GATE)
    return any(
        name in networks and _comparable(networks[name], follows) != _comparable(network, follows)
        for name, network in spec.networks(vmi).items()
    )


def note_migration_required(vmi: Object, pod: Object, config: ClusterConfig) -> None:
    """Condition MigrationRequired: the pod of a VMI that is not migrating is on another network than the spec names."""
    state = vmi.get("status", {}).get("migrationState") or {}
    if not config.gate_enabled(_GATE) or (state and not state.get("endTimestamp")):
        return
    if _on_another_network(vmi, pod):
        conditions.put(vmi, MIGRATION_REQUIRED, True, _REASON)
    else:
        conditions.drop(vmi, MIGRATION_REQUIRED)


def _on_another_network(vmi: Object, pod: Object) -> bool:
    reported = spec.network_statuses(pod)
    interfaces = {entry["name"]: entry.get("podInterfaceName") for entry in vmi["status"].get("interfaces") or []}
    for name, network in spec.networks(vmi).items():
        told = reported.get(interfaces.get(name) or "")
        if told is None or spec.is_primary(network):
            continue
        place = spec.namespaced_name(network["multus"]["networkName"], vmi["metadata"]["namespace"])
        if told["name"] != "/".join(place):
            return True
    return False


def _without_state(interface: Object) -> Object:
    return {key: value for key, value in interface.items() if key != "state"}


def _comparable(network: Object, follows: bool) -> Object:
    if not follows or not network.get("multus"):
        return network
    comparable = copy.deepcopy(network)
    comparable["multus"].pop("networkName", None)
    return comparable

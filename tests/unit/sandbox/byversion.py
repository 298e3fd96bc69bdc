"""Tables by version, and what the rules of a version are asked about."""

from __future__ import annotations

from typing import Any

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.facts import facts_for, versions
from conformance.sandbox.kubevirt.ruleview import RuleView

Object = dict[str, Any]
ALL = versions()


def since(*changes: tuple[str, Any]) -> list[tuple[str, Any]]:
    """(version, value) for every version, from the values at which it changes: the first must be v1.1."""
    at = dict(changes)
    found: list[tuple[str, Any]] = []
    for version in ALL:
        found.append((version, at[version] if version in at else found[-1][1]))
    return found


def kubevirt(*gates: str, disabled: tuple[str, ...] = (), **network: Any) -> Object:
    """A KubeVirt resource that lists gates."""
    developer = {"featureGates": list(gates), "disabledFeatureGates": list(disabled)}
    return {"spec": {"configuration": {"developerConfiguration": developer, "network": network}}}


def view(version: str, interface: Object, config: Object | None = None, network: Object | None = None) -> RuleView:
    """A spec of one interface, seen by the rules of a version whose gate for plugins is listed."""
    body = {
        "domain": {"devices": {"interfaces": [{"name": "n"} | interface]}},
        "networks": [{"name": "n"} | (network or {"pod": {}})],
    }
    return RuleView(body, "spec", ClusterConfig(config or kubevirt("NetworkBindingPlugins"), facts_for(version)))


def texts(causes: list[Cause]) -> list[str]:
    return [cause.message for cause in causes]

"""The settings of a KubeVirt resource as its components read them: feature gates and network configuration.

Source: KubeVirt `pkg/virt-config`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt.facts import VersionFacts

BINDING_PLUGINS_GATE: Final = "NetworkBindingPlugins"
_GRADUATED: Final = "General Availability"
_RETIRED: Final = (_GRADUATED, "Deprecated", "Discontinued")


@dataclass(frozen=True)
class ClusterConfig:
    """What one KubeVirt resource (empty: none) says to one KubeVirt release."""

    kubevirt: Object
    facts: VersionFacts

    def gate_enabled(self, name: str) -> bool:
        """Whether a feature gate is on: graduated, else listed, else (from 1.9) Beta and not disabled."""
        state = self.facts.feature_gates.get(name)
        if state == _GRADUATED or name in self.listed_gates():
            return True
        disabled = self.facts.disabled_gates and name in self._developer().get("disabledFeatureGates", ())
        return state == "Beta" and self.facts.beta_enabled and not disabled

    def listed_gates(self) -> list[str]:
        """The gates that the resource lists."""
        return self._developer().get("featureGates") or []

    def gate_texts(self) -> Iterator[tuple[str, str, str]]:
        """(gate, state, text) of every listed gate that is graduated, deprecated or discontinued."""
        for name in self.listed_gates():
            state = self.facts.feature_gates.get(name)
            if state in _RETIRED:
                text = self.facts.gate_messages.get(name) or self.facts.gate_warning.format(name=name, state=state)
                yield name, state, text

    def network_setting(self, name: str, default: bool) -> bool:
        """A boolean of `spec.configuration.network`."""
        value = (self._configuration().get("network") or {}).get(name)
        return default if value is None else bool(value)

    def _configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.kubevirt.get("spec") or {}).get("configuration") or {}
        return found

    def _developer(self) -> dict[str, Any]:
        found: dict[str, Any] = self._configuration().get("developerConfiguration") or {}
        return found


def needed_gates(facts: VersionFacts) -> list[str]:
    """The gates that a cluster has to list before it admits binding plugins at all."""
    return [] if ClusterConfig({}, facts).gate_enabled(BINDING_PLUGINS_GATE) else [BINDING_PLUGINS_GATE]

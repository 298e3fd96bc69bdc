"""A VMI spec as the network rules look at it, with the path that their refusals name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.facts import VersionFacts

INVALID: Final = "FieldValueInvalid"
REQUIRED: Final = "FieldValueRequired"
DUPLICATE: Final = "FieldValueDuplicate"
NOT_SUPPORTED: Final = "FieldValueNotSupported"


@dataclass(frozen=True)
class RuleView:
    """The spec `body`; `root` is its path, `spec` or `spec.template.spec`."""

    body: Object
    root: str
    config: ClusterConfig

    @property
    def facts(self) -> VersionFacts:
        return self.config.facts

    def interfaces(self) -> Iterator[tuple[Object, str]]:
        """Every interface with its path."""
        for index, interface in enumerate(spec.interfaces({"spec": self.body})):
            yield interface, f"{self.root}.domain.devices.interfaces[{index}]"

    def networks(self) -> Iterator[tuple[Object, str]]:
        """Every network with its path."""
        for index, network in enumerate(self.body.get("networks") or []):
            yield network, f"{self.root}.networks[{index}]"

    def network_of(self, interface: Object) -> Object | None:
        """The network that the interface is connected to."""
        return spec.networks({"spec": self.body}).get(interface["name"])

    def is_on_pod_network(self, interface: Object) -> bool:
        return (self.network_of(interface) or {}).get("pod") is not None

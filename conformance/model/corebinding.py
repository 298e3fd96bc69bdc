"""KubeVirt's own bindings: part of its API, registered nowhere, and the baseline that plugins are compared with."""

from __future__ import annotations

from enum import StrEnum

from conformance.model.capability import Capability


class CoreBinding(StrEnum):
    """A binding method of ``interfaces[]`` that is a binding in itself."""

    MASQUERADE = "masquerade"
    """A private address behind the pod's, translated in the pod."""
    BRIDGE = "bridge"
    """The guest takes the pod's place on the network, and its address by KubeVirt's own DHCP."""
    PASST = "passtBinding"
    """passt, built in since KubeVirt 1.8."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that follow from the method. Source: KubeVirt pkg/network/{vmispec,setup/netpod}."""
        return _CAPABILITIES[self]


_CAPABILITIES = {
    CoreBinding.MASQUERADE: frozenset({Capability.ATTACH_CORE, Capability.MIGRATION}),
    CoreBinding.BRIDGE: frozenset({Capability.ATTACH_CORE, Capability.L2}),
    CoreBinding.PASST: frozenset({Capability.MIGRATION}),
}

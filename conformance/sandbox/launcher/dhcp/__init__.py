"""KubeVirt's own DHCP, which virt-launcher serves for the core bindings bridge and masquerade, and for no others.

Source: KubeVirt v1.9 pkg/network/dhcp (contract section 2.6). One client, one address, a lease of 999 days; whatever
the client asks for, it is acknowledged that address. The package runs inside the compute container too (`python3 -m
virt_launcher_dhcp LEASE`), where the pod's resolv.conf and hostname are: hence the standard library only, and relative
imports.
"""

from .lease import Lease, Route, options_of

__all__ = ["Lease", "Route", "options_of"]

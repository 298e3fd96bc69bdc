"""Phase 1 of KubeVirt's network set-up: what virt-handler does in the network namespace of a launcher pod.

Source: KubeVirt v1.9 pkg/network/setup/netpod (contract sections 2.5 and 2.6). One module for each way of attaching a
VM; `setup` goes over the interfaces of the VMI, `vmi` says which way each takes, `namespace` is the pod they work in.
"""

from conformance.sandbox.launcher.netpod.setup import setup_pod_network
from conformance.sandbox.launcher.netpod.vmi import attachment_of

__all__ = ["attachment_of", "setup_pod_network"]

"""Core passt: the pod interface stays as it is; passt, which libvirt starts, may ping and listen on low ports."""

from conformance.sandbox.launcher.netpod.namespace import QEMU_ID, Namespace
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.podinterfaces import PodInterface


async def plumb(namespace: Namespace, plan: Plan) -> PodInterface:
    """The two settings that the binding plugin of old left to a CNI plugin."""
    await namespace.sysctl([f"net.ipv4.ping_group_range={QEMU_ID} {QEMU_ID}", "net.ipv4.ip_unprivileged_port_start=0"])
    return plan.record

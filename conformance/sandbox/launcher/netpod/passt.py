"""Core passt: the pod interface stays as it is; passt, which libvirt starts, may ping and listen on low ports."""

from conformance.sandbox.launcher.netpod.namespace import Namespace
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.podinterfaces import PodInterface


async def plumb(namespace: Namespace, plan: Plan) -> PodInterface:
    """The two settings that the binding plugin of old left to a CNI plugin.

    KubeVirt lets group 107 alone send echo requests, passt's group there. Here passt is started by root, and then takes
    the group of nobody; so it is every group that may, as with the CNI plugin.
    """
    await namespace.sysctl(["net.ipv4.ping_group_range=0 2147483647", "net.ipv4.ip_unprivileged_port_start=0"])
    return plan.record

from __future__ import annotations

import pytest

from conformance.kube.wait import wait_until
from fixtures.clients import ClientPods, pod_on
from fixtures.machines import ECHO_PORT, Machine
from fixtures.measure import Measure
from fixtures.reach import CLUSTER_NAME, DNS_PORT, api_address, resolver_of
from fixtures.services import ClusterService


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-004")
def test_vm_reaches_services(
    machine: Machine, client_pods: ClientPods, pod_service: ClusterService, measure: Measure
) -> None:
    """The VM reaches ClusterIP Services by TCP and UDP: one of its own, kubernetes.default and cluster DNS.

    Preconditions:
    * A running VM whose guest has its address.
    * A Service in front of a client pod with an echo server.

    Steps:
    1. Exchange 64 KiB by TCP and datagrams by UDP with the Service from the guest.
    2. Connect from the guest to the cluster address of kubernetes.default.
    3. Ask the name server that pods have for kubernetes.default.svc.cluster.local by UDP, and connect to it by TCP.

    Expected:
    * Everything comes back unchanged, and everybody answers.
    """
    machine.boot_facts()
    cluster, guest = machine.run.cluster, machine.guest.client()
    wait_until(
        f"{pod_service.ref} has an endpoint", pod_service.endpoints, machine.run.timeouts.reachable.start(), until=bool
    )
    pod = next(pod for pod in client_pods.values() if pod.address in pod_service.endpoints())
    with pod.serve("tcp", port=ECHO_PORT), pod.serve("udp", port=ECHO_PORT):
        stream = guest.tcp_echo(pod_service.address, pod_service.port, size=64 * 1024)
        datagrams = guest.udp_echo(pod_service.address, pod_service.port, flows=2)
    measure(stream)
    measure(datagrams)
    assert stream.intact, f"TCP to {pod_service.address}: {stream.error}"
    assert datagrams.ok, f"UDP to {pod_service.address}: lost (flow, size) {datagrams.lost}"
    api = guest.tcp_connect(*api_address(cluster, pod))
    assert api.ok, f"kubernetes.default at {api.host} port {api.port}: {api.error}"
    server = resolver_of(cluster, pod_on(client_pods, machine.view().node, same=True)).nameservers[0]
    assert guest.ask_nameserver(server, CLUSTER_NAME), f"{server} does not answer for {CLUSTER_NAME} by UDP"
    assert guest.tcp_connect(server, DNS_PORT).ok, f"{server} does not answer by TCP"

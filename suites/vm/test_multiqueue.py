from __future__ import annotations

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import NETWORK, Pool
from fixtures.measure import Measure
from fixtures.reach import neighbour, wait_connects
from fixtures.session import SUBJECT
from fixtures.shapes import CPUS, MANY_QUEUES, many_queues


@pytest.mark.xdist_group("queues")
@pytest.mark.requirement("VM-007")
def test_guest_has_a_queue_for_each_cpu(machines: Pool, client_pods: ClientPods, measure: Measure) -> None:
    """With networkInterfaceMultiqueue the guest has a queue for each CPU, the status says so, and traffic flows.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Create a VM with two CPUs and networkInterfaceMultiqueue.
    2. Count the receive queues of the guest's NIC, and read queueCount in the status.
    3. Connect from the guest to a pod on its node (on a secondary network: to another VM).

    Expected:
    * The VM starts; there are two queues, and queueCount is two.
    * The guest connects.
    """
    machine = machines.start(MANY_QUEUES, shape=many_queues).started()
    nic = machine.nic(machine.boot_facts())
    queues = machine.guest.run(f"ls -d /sys/class/net/{nic.name}/queues/rx-*", check=True).stdout.split()
    entry = machine.view().interface(NETWORK)
    assert entry is not None
    assert (len(queues), entry.queue_count) == (CPUS, CPUS), f"guest: {queues}, status: {entry.queue_count}"
    with neighbour(machine, client_pods, lambda: machines.running(SUBJECT, node=0)) as server:
        measure(wait_connects(machine, server, machine.run.timeouts.reachable.start()))

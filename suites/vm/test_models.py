from __future__ import annotations

from functools import partial

import pytest

from fixtures.clients import ClientPods
from fixtures.machines import Machine, Pool
from fixtures.measure import Measure
from fixtures.reach import neighbour, wait_connects
from fixtures.session import PEER
from fixtures.shapes import E1000, e1000


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("VM-006")
def test_virtio_passes_traffic(machine: Machine, machines: Pool, client_pods: ClientPods, measure: Measure) -> None:
    """The NIC of a VM that asks for no model is of the model virtio, and passes traffic.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Read which driver the guest has for the NIC, and connect from the guest.

    Expected:
    * It is that of virtio, and the guest connects.
    """
    machine.boot_facts()
    assert _driver(machine) == "virtio_net"
    _connect(machine, machines, client_pods, measure)


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("VM-006")
def test_e1000_passes_traffic(machines: Pool, client_pods: ClientPods, measure: Measure) -> None:
    """The NIC of a VM that asks for the model e1000 is of that model, and passes traffic.

    Preconditions:
    * The binding is registered.

    Steps:
    1. Create a VM whose interface has the model e1000, and wait until its guest has an address.
    2. Read which driver the guest has for the NIC, and connect from the guest.

    Expected:
    * The VM starts, the guest gets its address, the driver is that of the e1000, and the guest connects.
    """
    machine = machines.start(E1000, shape=e1000).started()
    machine.wait_address(machine.run.timeouts.guest_lease.start())
    assert _driver(machine) == "e1000"
    _connect(machine, machines, client_pods, measure)
    machines.discard(E1000)


def _driver(machine: Machine) -> str:
    nic = machine.nic(machine.guest.facts()).name
    return machine.guest.run(f"basename $(readlink /sys/class/net/{nic}/device/driver)", check=True).stdout.strip()


def _connect(machine: Machine, machines: Pool, client_pods: ClientPods, measure: Measure) -> None:
    with neighbour(machine, client_pods, partial(machines.running, PEER, node=1)) as server:
        measure(wait_connects(machine, server, machine.run.timeouts.reachable.start()))

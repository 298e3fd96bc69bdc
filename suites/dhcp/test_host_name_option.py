from __future__ import annotations

import pytest

from fixtures.machines import Machine


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-006")
def test_the_lease_has_the_host_name_of_the_vm(machine: Machine) -> None:
    """The host name that the guest is offered by DHCP is the VM's name, where the VM sets no other.

    Preconditions:
    * A running VM whose guest has its address.

    Steps:
    1. Read the host name in the lease that the guest's DHCP client holds.

    Expected:
    * The lease has one, and it is the name of the VM, a domain behind it aside.
    """
    nic = machine.nic(machine.boot_facts())
    name = machine.guest.dhcp(nic.name).offered(machine.guest.console).host_name
    assert name is not None, f"the lease of {nic.name} has no host name"
    assert name.split(".")[0] == machine.spec.name, f"the lease of {nic.name} calls {machine.ref} {name!r}"

from __future__ import annotations

import pytest

from conformance.evidence.recorder import Evidence
from conformance.kube.outcome import Inconclusive
from conformance.model import Capability
from fixtures.machines import Pool
from fixtures.shapes import OPTIONED, OPTIONS_SENT, optioned


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("DHCP-012")
def test_dhcp_options_are_honoured_or_said_to_be_ignored(machines: Pool, evidence: Evidence) -> None:
    """The DHCP options of an interface reach the guest, all of them; or none does, and the definition says so.

    Preconditions:
    * A VM whose interface has the options tftpServerName, bootFileName, ntpServers and a private one. (KubeVirt
      accepts them under every binding, and serves them with its own DHCP only.)

    Steps:
    1. Ask for a lease from the guest, with these options.

    Expected:
    * Where the definition says ``dhcpOptions: honoured``, the offer has all of them, as the VM has them.
    * Where it says ``ignored``, the offer has none.
    * Where it says neither, the offer has all of them.
    """
    machine = machines.running(OPTIONED, shape=optioned)
    evidence.about(machine.ref)
    binding = machine.run.binding
    served = Capability.IPAM in binding.capabilities
    facts = machine.boot_facts() if served else machine.guest.facts()
    wire = machine.guest.dhcp_wire(machine.nic(facts), machine.lease(facts).ip) if served else None
    offer = wire.discover([code for code, _ in OPTIONS_SENT.values()]) if wire else None
    if served and offer is None:
        raise Inconclusive("needs a server that offers the guest its address once more; DHCP-009 judges it")
    got = offer.options if offer else {}
    sent = {name for name, (code, value) in OPTIONS_SENT.items() if got.get(code, b"").rstrip(b"\0") == value}
    missing = sorted(OPTIONS_SENT.keys() - sent)
    told = binding.facts.dhcp_options
    assert not (sent and missing), f"of the VM's DHCP options the offer lacks {missing}, and has {sorted(sent)}"
    if sent:
        assert told != "ignored", "the definition says that dhcpOptions are ignored, and the offer has all of them"
    else:
        assert told != "honoured", "the definition says that dhcpOptions are honoured, and the offer has none of them"
        assert told == "ignored", "dhcpOptions are ignored, and the definition does not say so (facts.dhcpOptions)"

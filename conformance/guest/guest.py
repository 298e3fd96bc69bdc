"""One guest, with all its ways in: the console always, SSH when the network under test carries it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Self

from conformance.guest.carrier import CarrierWatch
from conformance.guest.conflict import Claim, claims
from conformance.guest.console import ConsoleShell
from conformance.guest.datagram import send_out_of
from conformance.guest.dhcp import DhcpClient
from conformance.guest.dhcpwire import NOWHERE, DhcpWire, other_mac
from conformance.guest.echo import GuestClient, GuestConnection, GuestEcho, Protocol
from conformance.guest.facts import FACTS_SCRIPT, GuestFacts, GuestNic, parse_facts
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.guest.shell import CommandResult, GuestUnreachable, Shell
from conformance.guest.ssh import SshShell
from conformance.kube.cluster import Cluster
from conformance.kube.console import Console
from conformance.kube.errors import ApiError
from conformance.kube.portforward import portforward
from conformance.kube.relay import DIAL, process_as_socket
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.wait import wait_until
from conformance.traffic.pod import ClientPod


class Guest:
    """The inside of one VMI. The console shell is opened on first use and kept; SSH shells are the caller's to close.

    Everything here goes through the console unless another ``shell`` is given, so that what is observed does not depend
    on the network that is tested. Not for several threads at once.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, name: str, *, image: GuestImage, keys: GuestKeys, timeouts: Timeouts
    ) -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name
        self.image, self.keys, self.timeouts = image, keys, timeouts
        self.console = ConsoleShell(Console(cluster, namespace, name), image, timeouts.console_login.seconds)

    def ssh(self, *, port: int = 22) -> SshShell:
        """SSH through KubeVirt's ``portforward``. Raises GuestUnreachable with the text of the failed dial."""
        target = f"{self.namespace}/{self.name}"
        try:
            sock = portforward(self.cluster, self.namespace, self.name, port)
        except ApiError as error:
            raise GuestUnreachable("ssh", target, str(error)) from error
        return SshShell(sock, "ssh", target, self.image, self.keys)

    def ssh_from(self, pod: ClientPod, address: str, *, port: int = 22) -> SshShell:
        """SSH dialled from a client pod to ``address``, as any peer on the cluster network would."""
        process = pod.start_process(("python3", "-u", "-c", DIAL, address, str(port)))
        target = f"{self.namespace}/{self.name} at {address} from pod {pod.ref.name}"
        try:
            return SshShell(process_as_socket(process), "ssh-from-pod", target, self.image, self.keys)
        except GuestUnreachable as error:
            complaint = process.complaint().splitlines()
            process.close()
            raise GuestUnreachable(error.way, target, complaint[-1] if complaint else error.reason) from error

    def run(self, command: str, *, timeout: float = 60.0, check: bool = False) -> CommandResult:
        """Run a command over the console."""
        return self.console.run(command, timeout=timeout, check=check)

    def facts(self, shell: Shell | None = None) -> GuestFacts:
        """The guest's network facts, now."""
        return parse_facts((shell or self.console).run(FACTS_SCRIPT, timeout=60, check=True).stdout)

    def nic(self, mac: str, shell: Shell | None = None) -> GuestNic | None:
        """The NIC with that MAC, now."""
        return self.facts(shell).nic(mac)

    def wait_for_lease(self, deadline: Deadline, *, mac: str = "") -> GuestFacts:
        """Wait until a NIC (that with ``mac``, else the first) holds an IPv4 address that is not link-local."""

        def leased(facts: GuestFacts) -> bool:
            nics = [nic for nic in facts.nics if not mac or nic.mac.lower() == mac.lower()]
            return bool(nics) and any(not address.is_link_local for address in nics[0].ipv4())

        return wait_until(
            f"an IPv4 address on NIC {mac or '#0'} of {self.name}",
            self.facts,
            deadline,
            until=leased,
            saw=lambda facts: "; ".join(f"{n.name} {n.mac} carrier={n.carrier} {n.addresses}" for n in facts.nics),
        )

    def dhcp(self, nic: str) -> DhcpClient:
        """The DHCP client of a NIC, by the NIC's name."""
        return DhcpClient.detect(self.console, nic)

    def dhcp_wire(self, nic: GuestNic, address: IPv4Address) -> DhcpWire:
        """DHCP requests in the name of a NIC that holds ``address``."""
        return DhcpWire(self.console, nic.name, nic.mac, address)

    def stranger_on(self, nic: GuestNic) -> DhcpWire:
        """DHCP requests on the NIC in the name of another client than the guest's, whose address is not its own.

        They come from the MAC address of a host that nobody is.
        """
        return DhcpWire(self.console, nic.name, other_mac(nic.mac), NOWHERE, waits=(1, 3))

    def send_out_of(self, nic: GuestNic, source: IPv4Address, target: tuple[IPv4Address, int], message: bytes) -> None:
        """Send a UDP datagram out of a NIC, whatever the routes say; it has had time to arrive."""
        send_out_of(self.console, nic, source, target, message)

    def address_claims(self, nic: GuestNic) -> tuple[Claim, ...]:
        """Who else on the link says that it has an address of the NIC. Takes seconds."""
        return claims(self.console, nic.name, nic.mac, [address.ip for address in nic.addresses])

    def watch_carrier(self) -> CarrierWatch:
        """Record carrier changes from now on (a context manager)."""
        return CarrierWatch(self.console)

    def serve(self, protocol: Protocol, port: int) -> GuestEcho:
        """An echo server inside the guest (a context manager)."""
        return GuestEcho(self.console, protocol, port)

    def hold(self, host: str, port: int) -> GuestConnection:
        """A connection from inside the guest to an echo server, kept busy (a context manager)."""
        return GuestConnection(self.console, host, port)

    def client(self, shell: Shell | None = None) -> GuestClient:
        """Probes from inside the guest."""
        return GuestClient(shell or self.console)

    def close(self) -> None:
        self.console.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

"""Single UDP datagrams out of a NIC of choice, whatever the guest's routes say of the target."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address

from conformance.guest.echo import tools_of
from conformance.guest.facts import GuestNic
from conformance.guest.frames import broadcast_datagram
from conformance.guest.root import as_root
from conformance.guest.shell import GuestLacks, Shell

_SOURCE_PORT = 7008
# A socket that is bound to a NIC takes every address for one on the link when no route of the NIC leads there.
_SOCAT = (
    "echo {message} | base64 -d | socat -u - UDP4-SENDTO:{target}:{port},so-bindtodevice={nic}; "
    "echo {frame} | base64 -d | socat -b 2048 -u - INTERFACE:{nic}; sleep {seconds}"
)
_PYTHON = """
python3 - <<'KBC'
import base64, socket, time
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagram.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"{nic}")
try:
    datagram.sendto(base64.b64decode("{message}"), ("{target}", {port}))
except OSError as error:
    print(error)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("{nic}", 0))
link.send(base64.b64decode("{frame}"))
time.sleep({seconds})
KBC
"""
_SCRIPTS = {"python3": _PYTHON, "socat": _SOCAT}


def send_out_of(
    shell: Shell, nic: GuestNic, source: IPv4Address, target: tuple[IPv4Address, int], message: bytes, seconds: int = 2
) -> None:
    """Send ``message`` out of the NIC twice, and wait for it to get where it gets to.

    Once to whoever on the link says that it has the target's address, and once to everybody on the link.
    """
    tools = tools_of(shell)
    script = next((text for tool, text in _SCRIPTS.items() if tool in tools), None)
    if script is None:
        raise GuestLacks(f"{shell.guest}: a datagram needs python3 or socat, it has {', '.join(tools)}")
    frame = broadcast_datagram(nic.mac, (source, _SOURCE_PORT), target, message)
    command = script.format(
        nic=nic.name,
        target=target[0],
        port=target[1],
        message=base64.b64encode(message).decode(),
        frame=base64.b64encode(frame).decode(),
        seconds=seconds,
    )
    shell.run(as_root(command), timeout=60)

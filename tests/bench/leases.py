"""The mini guest's own record of its leases, read: when they came, and how long after the link."""

from __future__ import annotations

import re
from dataclasses import dataclass

_EVENT = re.compile(r"^uptime=([0-9.]+) interface=(\S+) reason=(\S+) ", re.MULTILINE)
_LEASE = ("BOUND", "REBOOT", "RENEW", "REBIND")


@dataclass(frozen=True)
class Leases:
    """IPv4 leases of one NIC, in seconds of the guest's uptime; `now` is when the record was read.

    ``taken`` are the times of all; ``delays`` how long after the link had come up each first one was there; ``down``
    says that the link is down.
    """

    now: float
    taken: tuple[float, ...]
    delays: tuple[float, ...]
    down: bool

    @classmethod
    def read(cls, told: str, nic: str) -> Leases:
        """From /var/log/dhcp.log followed by /proc/uptime."""
        taken, delays, up, down = [], [], None, False
        for uptime, interface, reason in _EVENT.findall(told):
            if interface != nic:
                continue
            if reason == "CARRIER":
                up, down = float(uptime), False
            elif reason == "NOCARRIER":
                up, down = None, True
            elif reason in _LEASE:
                taken.append(float(uptime))
                delays += [float(uptime) - up] if up is not None else []
                up = None
        assert taken, told
        return cls(float(told.strip().splitlines()[-1].split()[0]), tuple(taken), tuple(delays), down)

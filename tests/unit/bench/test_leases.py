"""The figures of leases, from the guest's own record."""

from __future__ import annotations

import pytest

from tests.bench.leases import Leases

TOLD = """
uptime=1.10 interface=eth0 reason=PREINIT carrier=down old= new=
uptime=1.20 interface=eth1 reason=CARRIER carrier=true old= new=
uptime=1.30 interface=eth0 reason=CARRIER carrier=true old= new=
uptime=1.90 interface=eth1 reason=BOUND carrier=true old= new=172.31.0.40
uptime=2.05 interface=eth0 reason=BOUND carrier=true old= new=10.244.1.2
uptime=2.40 interface=eth0 reason=ROUTERADVERT carrier=true old= new=
uptime=9.00 interface=eth0 reason=RENEW carrier=true old=10.244.1.2 new=10.244.1.2
uptime=12.00 interface=eth0 reason=NOCARRIER carrier=false old=10.244.1.2 new=
{more}13.50 40.00
"""
BACK = (
    "uptime=12.10 interface=eth0 reason=CARRIER carrier=true old= new=\n"
    "uptime=12.25 interface=eth0 reason=REBOOT carrier=true old= new=10.244.2.7\n"
)


def test_leases_count_from_the_link_that_came_up_before_them() -> None:
    seen = Leases.read(TOLD.format(more=""), "eth0")
    assert (seen.now, seen.taken, seen.down) == (13.5, (2.05, 9.0), True)
    assert seen.delays == pytest.approx((0.75,))
    again = Leases.read(TOLD.format(more=BACK), "eth0")
    assert (again.taken[-1], again.down) == (12.25, False)
    assert again.delays == pytest.approx((0.75, 0.15))
    assert Leases.read(TOLD.format(more=""), "eth1").delays == pytest.approx((0.7,))

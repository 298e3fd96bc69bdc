"""Names of the cluster, by the DNS specification, and their way onto the wire."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rcode
import pytest

from conformance.sandbox.kubernetes.dns import DnsServer
from conformance.sandbox.kubernetes.names import ClusterNames

PORTS = [{"name": "web", "port": 80}]


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": PORTS, **spec}}


def part(name: str, *endpoints: tuple[str, str, bool]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": name}}
    listed = [{"addresses": [a], "hostname": h, "conditions": {"ready": r}} for a, h, r in endpoints]
    return {"metadata": meta, "endpoints": listed}


NAMES = ClusterNames(
    [
        service("web", clusterIP="10.96.0.20", clusterIPs=["10.96.0.20", "fd00:10:96::14"]),
        service("crowd", clusterIP="None", clusterIPs=["None"]),
        service("many", clusterIP="None", clusterIPs=["None"]),
        service("alias", type="ExternalName", externalName="example.com"),
    ],
    [
        part("many", *((f"10.244.2.{number}", "", True) for number in range(1, 60))),
        part("crowd", ("10.244.1.5", "vm", True), ("fd00:10:244:1::5", "vm", True), ("10.244.1.6", "slow", False)),
    ],
    {"example.com": ("203.0.113.10", "2001:db8:113::10")},
)
SERVER = DnsServer(NAMES.lookup)
SHOP = "shop.svc.cluster.local"


def ask(name: str, kind: str = "A", limit: int | None = None) -> dns.message.Message:
    answer = SERVER.answer(dns.message.make_query(name, kind, use_edns=False).to_wire(), limit)
    assert answer is not None
    return dns.message.from_wire(answer)


@pytest.mark.parametrize(
    ("name", "kind", "answers"),
    [
        (f"web.{SHOP}", "A", ["10.96.0.20"]),
        (f"WEB.{SHOP}", "AAAA", ["fd00:10:96::14"]),
        (f"crowd.{SHOP}", "A", ["10.244.1.5"]),
        (f"vm.crowd.{SHOP}", "AAAA", ["fd00:10:244:1::5"]),
        (f"10-244-1-5.crowd.{SHOP}", "A", ["10.244.1.5"]),
        (f"_web._tcp.web.{SHOP}", "SRV", [f"0 100 80 web.{SHOP}."]),
        ("10-244-9-9.shop.pod.cluster.local", "A", ["10.244.9.9"]),
        ("20.0.96.10.in-addr.arpa", "PTR", [f"web.{SHOP}."]),
        ("5.1.244.10.in-addr.arpa", "PTR", [f"vm.crowd.{SHOP}."]),
        ("example.com", "A", ["203.0.113.10"]),
        (f"alias.{SHOP}", "A", ["example.com.", "203.0.113.10"]),
    ],
)
def test_a_name_has_its_records(name: str, kind: str, answers: list[str]) -> None:
    response = ask(name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert [record.to_text() for rrset in response.answer for record in rrset] == answers


@pytest.mark.parametrize(
    "name", [f"nobody.{SHOP}", f"slow.crowd.{SHOP}", "not-an-address.shop.pod.cluster.local", "example.net", "nobody"]
)
def test_a_name_that_is_not_there(name: str) -> None:
    assert ask(name).rcode() == dns.rcode.NXDOMAIN


def test_a_name_without_that_type_has_an_empty_answer() -> None:
    response = ask(f"web.{SHOP}", "TXT")
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])


def test_what_does_not_fit_is_cut_and_marked() -> None:
    assert ask(f"many.{SHOP}", limit=512).flags & dns.flags.TC
    assert len(ask(f"many.{SHOP}").answer[0]) == 59


def test_what_is_no_query_gets_no_answer() -> None:
    assert SERVER.answer(b"nonsense", None) is None
    assert SERVER.answer(ask("example.com").to_wire(), None) is None

"""status.interfaces and the migratability of a running VMI, as virt-handler reports them.

Sources: KubeVirt `pkg/network/setup/netstat.go`, `pkg/network/vmispec`; recorded v1.9.0.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.launcher.links import DomainInterface
from conformance.sandbox.launcher.podinterfaces import PodInterfaces

_USER_ALIAS: Final = "ua-"


def interface_status(
    vmi: Object, domain: Sequence[DomainInterface], cache: PodInterfaces, facts: VersionFacts, reported: Set[str]
) -> list[Object]:
    """The pod network's interface, then what the domain has, then the others of the spec.

    `reported` are the pod interfaces that Multus reports.
    """
    by_name = {nic.alias.removeprefix(_USER_ALIAS): nic for nic in domain}
    networks, entries = spec.networks(vmi), []
    names = spec.pod_interface_names(vmi, reported)
    for interface in spec.interfaces(vmi):
        network = networks[interface["name"]]
        nic = by_name.pop(interface["name"], None)
        on = names[interface["name"]]
        secondary = not spec.is_primary(network) and on in reported
        entries.append(_entry(interface, on, secondary, nic, cache, facts))
    entries += [{"name": name} | _domain_part(nic, "domain") for name, nic in by_name.items()]
    entries.sort(key=_place)
    return [served_fields(entry, facts) for entry in entries]


def served_fields(entry: Object, facts: VersionFacts) -> Object:
    """An entry of status.interfaces without what the version does not have."""
    absent = {
        *(() if facts.pod_interface_name else ("podInterfaceName",)),
        *(() if facts.link_state_status else ("linkState",)),
    }
    return {key: value for key, value in entry.items() if key not in absent}


def _place(entry: Object) -> int:
    if entry.get("podInterfaceName") == "eth0":
        return 0
    return 1 if "domain" in entry.get("infoSource", "") else 2


def _entry(
    interface: Object,
    pod_interface: str,
    by_multus: bool,
    nic: DomainInterface | None,
    cache: PodInterfaces,
    facts: VersionFacts,
) -> Object:
    name = interface["name"]
    entry: Object = {"name": name, "podInterfaceName": pod_interface}
    if nic is None:
        return entry | ({"infoSource": "multus-status"} if by_multus else {})
    entry |= _domain_part(nic, "domain, multus-status" if by_multus else "domain")
    cached = cache.get(name)
    addresses = [] if cached is None else list(cached.addresses)
    if "bridge" in interface and facts.bridge_status_without_ipv6:
        addresses = [address for address in addresses if ":" not in address]
    return entry | ({"ipAddress": addresses[0], "ipAddresses": addresses} if addresses else {})


def _domain_part(nic: DomainInterface, source: str) -> Object:
    queues = nic.queue_count
    part: Object = {"infoSource": source, "linkState": nic.link_state, "queueCount": queues}
    return part | ({"mac": nic.mac} if nic.mac else {})


def put_migratable(vmi: Object, registered: spec.Registrations, facts: VersionFacts) -> None:
    """Conditions LiveMigratable and StorageLiveMigratable, as the networks and (here ephemeral) disks allow."""
    reason, message = "InterfaceNotLiveMigratable", facts.not_migratable
    if spec.is_migratable(vmi, registered):
        conditions.put(vmi, "LiveMigratable", True)
        conditions.put(vmi, "StorageLiveMigratable", True)
    else:
        conditions.put(vmi, "LiveMigratable", False, reason, message)
        conditions.put(vmi, "StorageLiveMigratable", False, "NotMigratable", f"{reason}: {message}")
    vmi["status"]["migrationMethod"] = "BlockMigration"

"""What KubeVirt says and does, by version: the table `facts.yaml`, so that no code asks for a version."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

NEWEST: Final = "v1.9"


class UnknownVersionError(ValueError):
    """No facts are held for the requested KubeVirt version."""


class VersionFacts(BaseModel):
    """The facts of one KubeVirt minor version; what each means and where it is from stands in the table.

    Texts have the fields `{name}` (of the interface or the binding) and `{state}`. None: not there yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    gate_required: bool
    gate_off: str
    gate_warning: str | None
    both_methods: str | None
    one_method: str | None
    discontinued: dict[str, str]
    absent_rule: str | None
    absent_default_rule: str | None
    port_ranges_off: str | None
    dra_networks_off: str | None
    state_rule: str | None
    passt_binding: Literal["unknown", "gated", "enabled"]
    bridge_status_without_ipv6: bool
    unknown_binding: str
    not_migratable: str
    attachments: tuple[str, ...]
    registration_fields: tuple[str, ...]
    sidecar_sub_path: bool
    sidecar_container_name: bool
    sidecar_plugin_name: bool
    pod_interface_name: bool
    link_state_status: bool
    command_socket_seconds: float
    network_info_fields: tuple[str, ...]
    evacuation_priority: str | None
    link_refreshes: int
    link_refresh_seconds: float | None


@cache
def _table() -> dict[str, Any]:
    text = files(__package__).joinpath("facts.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def versions() -> tuple[str, ...]:
    """The minor versions that facts are held for, oldest first: `v1.1`, ..."""
    return tuple(_table()["versions"])


@cache
def facts_for(version: str) -> VersionFacts:
    """Facts of `v1.9`, `1.9` or `v1.9.0`; `UnknownVersionError` says which versions are held."""
    minor = "v" + ".".join(version.removeprefix("v").split(".")[:2])
    known = versions()
    if minor not in known:
        raise UnknownVersionError(f"KubeVirt {version}: the sandbox knows {', '.join(known)}")
    upto = known[: known.index(minor) + 1]
    values: dict[str, Any] = {"version": _table()["versions"][minor]}
    for name, fact in _table()["facts"].items():
        since = [v for v in upto if v in fact["values"]]
        values[name] = fact["values"][since[-1]] if since else None
    return VersionFacts.model_validate(values)

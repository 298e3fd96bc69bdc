"""What KubeVirt says and does, by version: the table `facts.yaml`, so that no code asks for a version."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

NEWEST: Final = "v1.9"

GateState = Literal["Alpha", "Beta", "General Availability", "Deprecated", "Discontinued"]
_Release = tuple[int, ...]


class UnknownVersionError(ValueError):
    """No facts are held for the requested KubeVirt version."""


class CoreRule(BaseModel):
    """What one core binding needs, and the refusal when it has not.

    `gate`/`closed`; `setting`/`unset`, a setting of the KubeVirt resource that has to be true (`pod_setting` must not
    be false, on the pod network); `network`/`elsewhere`; `crowded` beside another interface.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str | None = None
    closed: str = ""
    setting: str | None = None
    pod_setting: str | None = None
    unset: str = ""
    network: Literal["pod", "multus"] | None = None
    elsewhere: str = ""
    crowded: str | None = None


class VersionFacts(BaseModel):
    """The facts of one KubeVirt release; what each means and where it is from stands in the table.

    Texts have the fields `{name}` (of the interface, the binding or the gate) and `{state}`. None: not there yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    registration_fields: tuple[str, ...]
    interface_fields: tuple[str, ...]
    network_sources: tuple[str, ...]
    attachments: tuple[str, ...]
    pod_interface_name: bool
    link_state_status: bool

    feature_gates: dict[str, GateState]
    beta_enabled: bool
    disabled_gates: bool
    gate_warning: str
    gate_messages: dict[str, str]

    causes_twice: bool
    gate_off: str
    core_methods: tuple[str, ...]
    both_methods: str | None
    one_method: str | None
    core_rules: dict[str, CoreRule]
    discontinued: dict[str, str]
    interface_states: tuple[str, ...]
    state_rule: str
    state_sriov_rule: str | None
    absent_rules: tuple[str, str]
    interface_models: tuple[str, ...]
    highest_port: int
    port_field: str

    unknown_binding: str
    launcher_annotations: tuple[str, ...]
    fixed_overhead_mebibytes: int
    video_overhead_mebibytes: int
    core_overhead_mebibytes: dict[str, int]
    sidecar_sub_path: bool
    sidecar_container_name: bool
    sidecar_plugin_name: bool
    network_info_fields: tuple[str, ...]
    network_info_without_device: bool
    network_info_on_target: bool

    hook_scan_seconds: float
    hook_timeout_without_socket: bool
    command_socket_seconds: float

    managed_tap_arp_ignore: bool
    not_migratable: str
    bridge_status_without_ipv6: bool
    evacuation_priority: str | None
    update_priority: str | None
    link_refreshes: int
    link_refresh_seconds: float | None
    link_refresh_error_ends: bool


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
    """Facts of a release, `v1.6.3` or `1.6.3`; a minor version alone, `1.6`, is its newest patch release.

    `UnknownVersionError` says which versions are held.
    """
    release = _release(version)
    if release is None:
        held, newest = (", ".join(part) for part in zip(*_table()["versions"].items(), strict=True))
        raise UnknownVersionError(f"KubeVirt {version}: the sandbox knows {held}, with patch releases up to {newest}")
    values: dict[str, Any] = {"version": "v" + ".".join(map(str, release))}
    for name, fact in _table()["facts"].items():
        since = [key for key in fact["values"] if _numbers(key) <= release]
        values[name] = fact["values"][max(since, key=_numbers)]
    return VersionFacts.model_validate(values)


def _release(version: str) -> _Release | None:
    """The three numbers of a known release, None for any other."""
    try:
        numbers = _numbers(version)
    except ValueError:
        return None
    newest = _table()["versions"].get(f"v{'.'.join(map(str, numbers[:2]))}")
    if newest is None or len(numbers) not in (2, 3):
        return None
    release = numbers if len(numbers) == 3 else _numbers(newest)
    return release if release <= _numbers(newest) else None


def _numbers(version: str) -> _Release:
    """`v1.6.3` as (1, 6, 3). ValueError for anything but numbers."""
    return tuple(int(part) for part in version.removeprefix("v").split("."))

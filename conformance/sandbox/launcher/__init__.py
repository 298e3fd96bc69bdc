"""What runs a VM in the sandbox: the launcher pod's libvirt, hooks, network plumbing, migration and console."""

from conformance.sandbox.launcher.compute import (
    DIRECTORY_VARIABLE,
    ENTRY_POINT,
    ComputeMount,
    compute_environment,
    compute_mounts,
    write_compute_layer,
)
from conformance.sandbox.launcher.console import ConsoleBroker, ConsoleConnection, connect_console
from conformance.sandbox.launcher.errors import (
    CommandDeadlineError,
    DomainError,
    HookCollectError,
    HookError,
    LauncherError,
    LauncherLostError,
    LauncherNotReadyError,
    LibvirtError,
    MigrationError,
    PodNetworkSetupError,
    SyncError,
)
from conformance.sandbox.launcher.launcher import HOOK_VOLUME, DomainState, Launcher
from conformance.sandbox.launcher.links import DomainInterface
from conformance.sandbox.launcher.migration import MigrationResult
from conformance.sandbox.launcher.netpod import setup_pod_network
from conformance.sandbox.launcher.podinterfaces import (
    PodInterface,
    PodInterfaces,
    has_ordinal_name,
    pod_interface_name,
    pod_interface_names,
)

__all__ = [
    "DIRECTORY_VARIABLE",
    "ENTRY_POINT",
    "HOOK_VOLUME",
    "CommandDeadlineError",
    "ComputeMount",
    "ConsoleBroker",
    "ConsoleConnection",
    "DomainError",
    "DomainInterface",
    "DomainState",
    "HookCollectError",
    "HookError",
    "Launcher",
    "LauncherError",
    "LauncherLostError",
    "LauncherNotReadyError",
    "LibvirtError",
    "MigrationError",
    "MigrationResult",
    "PodInterface",
    "PodInterfaces",
    "PodNetworkSetupError",
    "SyncError",
    "compute_environment",
    "compute_mounts",
    "connect_console",
    "has_ordinal_name",
    "pod_interface_name",
    "pod_interface_names",
    "setup_pod_network",
    "write_compute_layer",
]

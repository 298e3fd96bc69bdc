"""Errors of the launcher; each carries the text that KubeVirt shows a user in the same situation."""

from typing import Final

_INTERNAL_ERROR: Final = 1
_QEMU_DRIVER: Final = 10
_CODES: Final = {
    "invalid argument": 8,
    "Timed out during operation": 68,
    "Domain not found": 42,
    "Requested operation is not valid": 55,
    "Operation not supported": 84,
    "device not found": 99,
}
"""How libvirt begins an error's text, by its code (virErrorNumber)."""


class LauncherError(Exception):
    """Root of everything the launcher raises on purpose."""


class SyncError(LauncherError):
    """`SyncVMI` failed. `str(error)` is the reason alone, `sync_message` what lands in the VMI's condition and event.

    Texts as recorded on KubeVirt v1.9.0 (condition `Synchronized`, reason `Synchronizing with the Domain failed.`).
    """

    @property
    def sync_message(self) -> str:
        """The message of condition `Synchronized=False` and of event `SyncFailed`."""
        return self.message_of("SyncVMI")

    def message_of(self, command: str) -> str:
        """How virt-handler words the failure of one of its commands to a launcher."""
        return f'server error. command {command} failed: "{self.remote_message}"'

    @property
    def remote_message(self) -> str:
        """The error as virt-launcher's own command server quotes it."""
        return str(self)


class DomainError(SyncError):
    """libvirt refused a domain, or its XML could not be read."""


class HookError(SyncError):
    """A hook sidecar answered a call with an error; `code` is the gRPC status name in Go's spelling."""

    def __init__(self, message: str, code: str = "Unknown") -> None:
        super().__init__(message)
        self.code = code

    @property
    def remote_message(self) -> str:
        return f"rpc error: code = {self.code} desc = {self}"


class CommandError(SyncError):
    """A command to a launcher had no answer, so that nothing of the launcher's own is quoted."""

    def message_of(self, command: str) -> str:
        return f"unknown error encountered sending command {command}: {self}"


class CommandDeadlineError(CommandError):
    """The launcher took longer for a command than virt-handler waits. It goes on with it."""

    def __init__(self) -> None:
        super().__init__("rpc error: code = DeadlineExceeded desc = context deadline exceeded")


class LauncherLostError(CommandError):
    """The launcher ended in the middle of a command."""

    def __init__(self) -> None:
        super().__init__("rpc error: code = Unavailable desc = error reading from server: EOF")


class HookCollectError(LauncherError):
    """The sidecars could not be collected: virt-launcher ends at this point, so it is no `SyncError`."""


class PodNetworkSetupError(LauncherError):
    """Phase 1 of the network could not be set up; KubeVirt calls it critical and the VMI becomes `Failed`."""


class LibvirtError(LauncherError):
    """A libvirt call failed; the text is libvirt's own, without virsh's `error:` prefixes."""

    @property
    def go_text(self) -> str:
        """The error as libvirt's Go binding words it. virsh tells neither number; the code follows from the text."""
        code = next((number for words, number in _CODES.items() if str(self).startswith(words)), _INTERNAL_ERROR)
        return f"virError(Code={code}, Domain={_QEMU_DRIVER}, Message='{self}')"


class LauncherNotReadyError(LauncherError):
    """libvirtd in the compute container did not answer before the deadline."""


class MigrationError(LauncherError):
    """A live migration failed or was aborted; `aborted` says which."""

    def __init__(self, message: str, *, aborted: bool = False) -> None:
        super().__init__(message)
        self.aborted = aborted

"""Guest images of the sandbox, built from the distribution's packages and cached.

`mini`, the default, is a kernel and an initramfs: seconds under emulation. `networkd` and `networkmanager` are Debian
systems on a disk, with cloud-init, the guest agent and the network stacks of real VMs. All stand for the Fedora test
image: same user, NoCloud cloud-init, serial login, SSH, DHCP on every NIC. A user's own disk image can be one, too.
"""

from conformance.sandbox.guests.disk import DiskImageError, disk_guest
from conformance.sandbox.guests.image import GUEST_NAMES, Disk, GuestImage, ensure_guest, guest_digest
from conformance.sandbox.guests.packages import GuestBuildError

__all__ = [
    "GUEST_NAMES",
    "Disk",
    "DiskImageError",
    "GuestBuildError",
    "GuestImage",
    "disk_guest",
    "ensure_guest",
    "guest_digest",
]

"""Guest images of the sandbox, built from the distribution's packages and cached.

A guest image here is a kernel and an initramfs that QEMU boots directly: no disk, no firmware menu, seconds under
emulation. The only one so far is `mini`, which stands for the Fedora test image: same users, NoCloud cloud-init, serial
login, SSH, DHCP on every NIC.
"""

from conformance.sandbox.guests.image import GuestImage, ensure_guest, guest_digest
from conformance.sandbox.guests.packages import GuestBuildError

__all__ = ["GuestBuildError", "GuestImage", "ensure_guest", "guest_digest"]

"""What we must know of a guest image to log into it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GuestImage:
    """A containerDisk: its reference, and the account the image itself brings (no secret: it is published with it).

    ``boot_memory`` is the smallest sensible VM memory as a quantity.
    """

    reference: str
    user: str
    password: str = field(repr=False)
    boot_memory: str = "192Mi"


def fedora(reference: str) -> GuestImage:
    """``fedora-with-test-tooling``: NetworkManager, cloud-init, python3, guest agent."""
    return GuestImage(reference, "fedora", "fedora", "512Mi")


def alpine(reference: str) -> GuestImage:
    """``alpine-with-test-tooling``: BusyBox udhcpc, cloud-init; root on the console without a password."""
    return GuestImage(reference, "root", "", "192Mi")

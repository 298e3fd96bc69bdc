"""What a check wants to see when it fails, noted while it runs and collected before its fixtures are torn down."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.guest.guest import Guest
from conformance.kube.manifest import VMI, Ref


@dataclass
class Evidence:
    """The subjects of one check: objects of the API, guests, and texts of its own."""

    refs: list[Ref] = field(default_factory=list)
    guests: list[Guest] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def about(self, *refs: Ref) -> None:
        """Collect these objects; for a VMI also its launcher pods, their logs, and the domain."""
        self.refs.extend(ref for ref in refs if ref not in self.refs)

    def guest(self, guest: Guest) -> None:
        """Collect the guest's console and facts, and its VMI."""
        if guest not in self.guests:
            self.guests.append(guest)
            self.about(VMI.ref(guest.name, guest.namespace))

    def note(self, name: str, text: str) -> None:
        """Keep a text under ``name`` (a file name)."""
        self.notes[name] = text

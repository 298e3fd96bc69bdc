"""Carrier changes of the guest's NICs, recorded inside the guest while something happens to it.

The kernel counts every loss and every return (``/sys/class/net/*/carrier_changes``), so the count misses nothing; the
sampling only adds when a change was noticed. A link refresh holds the carrier down for 100 ms (KubeVirt, S-MIG).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from conformance.guest.root import Background
from conformance.guest.shell import Shell
from conformance.model import Measurement

_INTERVAL = 0.05

# Shell builtins only, except sleep: a fork costs milliseconds under emulation.
_WATCH = r"""
sample() {
  read -r up _ < /proc/uptime
  for d in /sys/class/net/*; do
    n=${d##*/}; [ "$n" = lo ] && continue
    read -r changes < "$d/carrier_changes" || continue
    { read -r carrier < "$d/carrier"; } 2>/dev/null || carrier=-
    eval "before=\${seen_$n:-none}"
    if [ "$before" != "$changes.$carrier" ]; then
      eval "seen_$n=$changes.$carrier"; echo "$up $n $carrier $changes"
    fi
  done
}
while :; do sample; sleep INTERVAL || sleep 1; done
""".replace("INTERVAL", str(_INTERVAL))


@dataclass(frozen=True)
class CarrierEvent:
    """A NIC's carrier as seen at ``uptime`` (guest seconds, sampled every 0.05 s); ``changes`` counts since boot."""

    uptime: float
    nic: str
    carrier: bool | None
    changes: int


@dataclass(frozen=True)
class CarrierRecord:
    """What a watch saw: the state at its start, then every noticed change, in order."""

    events: tuple[CarrierEvent, ...]

    def changes(self, nic: str) -> int:
        """How often the carrier of ``nic`` went or came during the watch: two for one flap."""
        of_nic = [event.changes for event in self.events if event.nic == nic]
        return of_nic[-1] - of_nic[0] if of_nic else 0

    def nics(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event.nic for event in self.events))

    def measurements(self) -> tuple[Measurement, ...]:
        method = "increase of the kernel's carrier_changes: every loss and every return counts one"
        return tuple(
            Measurement(f"carrier changes of {nic}", float(self.changes(nic)), "changes", method) for nic in self.nics()
        )


class CarrierWatch:
    """A watch running in the guest from construction (or entry) until :meth:`stop`; it survives a migration."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._background = Background(shell, _WATCH)

    def read(self, shell: Shell | None = None) -> CarrierRecord:
        """What was seen so far."""
        return parse_carrier(self._background.output(shell))

    def stop(self) -> None:
        self._background.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def parse_carrier(output: str) -> CarrierRecord:
    """The record in the watch's output; a line cut off in the middle is left out."""
    events = []
    for line in output.splitlines():
        words = line.split()
        if len(words) == 4 and words[3].isdigit():
            carrier = {"1": True, "0": False}.get(words[2])
            events.append(CarrierEvent(float(words[0]), words[1], carrier, int(words[3])))
    return CarrierRecord(tuple(events))

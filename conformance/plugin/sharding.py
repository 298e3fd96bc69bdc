"""One part of several: which checks a shard runs, so that several processes or pods judge one binding together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

INDEX = "JOB_COMPLETION_INDEX"
"""Where an indexed Kubernetes Job says which of its pods this one is, counted from 0."""


class ShardError(ValueError):
    """A shard that cannot be."""


@dataclass(frozen=True)
class Shard:
    """Shard ``index`` of ``count``, counted from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard | None:
        """``2/4``, or ``job/4`` in a pod of an indexed Job; None for an empty text. Raises ShardError."""
        if not text:
            return None
        if text.startswith("job/"):
            index = os.environ.get(INDEX, "")
            if not index.isdigit():
                raise ShardError(f"{text}: there is no ${INDEX} here: it is set in the pods of an indexed Job")
            text = f"{int(index) + 1}{text.removeprefix('job')}"
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise ShardError(f"{text}: write I/N with I from 1 to N, or job/N in an indexed Job")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def mine(self, checks: Iterable[tuple[str, str]]) -> frozenset[str]:
        """The node ids that this shard runs, of ``(node id, requirement)`` pairs.

        A directory of checks shares VMs and a migration and is never split; neither is a requirement, so directories
        that decide one together go to one shard. Every shard comes to the same division by itself: groups by number
        of checks, the largest first, each to the shard that has least.
        """
        pairs = sorted(set(checks))
        shares: list[list[str]] = [[] for _ in range(self.count)]
        for group in sorted(_groups(pairs), key=lambda group: (-len(group), group[0])):
            min(shares, key=len).extend(group)
        return frozenset(shares[self.index - 1])


def family_of(nodeid: str) -> str:
    """The directory of a check's module: its checks share fixtures, VMs and a migration among them."""
    return nodeid.partition("::")[0].rpartition("/")[0]


def _groups(pairs: list[tuple[str, str]]) -> list[list[str]]:
    """The node ids by directory; directories that share a requirement are one group."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for nodeid, requirement in pairs:
        leader[find(family_of(nodeid))] = find(f"requirement {requirement}")
    groups: dict[str, list[str]] = {}
    for nodeid, _ in pairs:
        groups.setdefault(find(family_of(nodeid)), []).append(nodeid)
    return list(groups.values())

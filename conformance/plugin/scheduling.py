"""How checks are spread over xdist's workers."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling


def family_of(nodeid: str) -> str:
    """The directory of a check's module: its checks share fixtures, VMs and a migration among them."""
    return nodeid.partition("::")[0].rpartition("/")[0]


def family_scheduling(config: pytest.Config, log: object) -> object:
    """xdist's scheduler that keeps a scope in one worker, the scope being the directory (largest first)."""
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = family_of
    return scheduling

"""How the agent script gets to where it runs, and its answers back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from conformance.kube.outcome import EnvironmentFault

SLOWEST = 200_000.0
"""Bytes per second: a stream that is slower is taken for one that stands still."""


class AgentFailed(EnvironmentFault):
    """The agent broke down, or the place has no usable Python 3: nothing was measured."""


@cache
def agent_script() -> bytes:
    """The text of the agent."""
    return resources.files("conformance.traffic").joinpath("remote.py").read_bytes()


def agent_argv(request: Mapping[str, object]) -> tuple[str, ...]:
    """The command that reads the script from stdin (exactly its length, the rest of stdin stays the agent's)."""
    reader = f"import sys;exec(compile(sys.stdin.buffer.read({len(agent_script())}),'agent','exec'))"
    return ("python3", "-u", "-c", reader, json.dumps(request))


def answer(line: str | None, stderr: bytes, request: Mapping[str, object]) -> dict[str, Any]:
    """The JSON object in a line of the agent's output; raises AgentFailed with its stderr for anything else."""
    try:
        found = json.loads(line or "")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        told = stderr.decode("utf-8", "replace")[-1500:]
        raise AgentFailed(f"the agent gave no result for {dict(request)}: stdout {line!r}, stderr:\n{told}")
    return found

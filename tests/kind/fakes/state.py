"""What the fake programs share: a directory that remembers what was called, what there is, and what is to fail.

``$FAKE_KIND`` names it. ``calls`` has one command line per line; ``fail/<words>`` holds the complaint with which the
command that starts with these words ends (words joined by ``-``); ``images`` and ``clusters`` list what there is.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

STATE = Path(os.environ["FAKE_KIND"])
ENGINE = os.environ.get("KIND_EXPERIMENTAL_PROVIDER", "docker")


def begin(program: str) -> list[str]:
    """Note the call; end as told to, if it is one that shall fail. The arguments.

    A call of kind is noted with the engine that it is told to use, where that is not Docker.
    """
    arguments = sys.argv[1:]
    with (STATE / "calls").open("a", encoding="utf-8") as calls:
        engine = f"KIND_EXPERIMENTAL_PROVIDER={ENGINE} " if program == "kind" and ENGINE != "docker" else ""
        calls.write(engine + shlex.join([program, *arguments]).replace("\n", "; ") + "\n")
    words = [program, *[word for word in arguments if not word.startswith("-")]]
    for count in range(min(len(words), 4), 0, -1):
        told = STATE / "fail" / "-".join(words[:count]).replace("/", "_")
        if told.exists():
            sys.stderr.write(told.read_text(encoding="utf-8") + "\n")
            sys.exit(1)
    return arguments


def listed(name: str) -> set[str]:
    path = STATE / name
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


def keep(name: str, values: set[str]) -> None:
    (STATE / name).write_text("\n".join(sorted(values)), encoding="utf-8")


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]

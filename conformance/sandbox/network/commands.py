"""Running a command to its end: the result, the failure, and the time-out, for asyncio."""

import asyncio
import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Completed:
    """A finished command."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes


class CommandError(Exception):
    """A command ended with a status other than 0, or did not end in time (`returncode` is None then)."""

    def __init__(self, argv: tuple[str, ...], returncode: int | None, stderr: bytes, where: str) -> None:
        self.argv = argv
        self.returncode = returncode
        self.stderr = stderr
        outcome = "did not end in time" if returncode is None else f"ended with status {returncode}"
        words = stderr.decode(errors="replace").strip()
        super().__init__(f"{where}: `{shlex.join(argv)}` {outcome}" + (f": {words}" if words else ""))


async def run_command(
    prefix: tuple[str, ...],
    argv: tuple[str, ...],
    *,
    where: str,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    seconds: float = 60,
) -> Completed:
    """Run `prefix + argv` to its end and return what it wrote.

    The environment is a plain PATH plus `env`, never the caller's own. Raises CommandError after `seconds`
    (the command is killed) and, with `check`, for a status other than 0. A cancelled caller kills the command.
    """
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *argv,
        stdin=asyncio.subprocess.DEVNULL if input is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": SYSTEM_PATH, **(env or {})},
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(input), seconds)
    except TimeoutError:
        raise CommandError(argv, None, b"", where) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None
    if check and process.returncode != 0:
        raise CommandError(argv, process.returncode, stderr or stdout, where)
    return Completed(argv, process.returncode, stdout, stderr)

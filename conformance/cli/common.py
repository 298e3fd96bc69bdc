"""What every command shares: exit statuses, where it prints, and errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from conformance.model import ModelError

OK, NOT_CONFORMANT, USAGE, ENVIRONMENT = 0, 1, 2, 3

out = Console()
err = Console(stderr=True)


@contextmanager
def reported() -> Iterator[None]:
    """Errors in words and with the exit status of their kind, instead of a traceback."""
    from conformance.kube.errors import KubeError
    from conformance.kube.outcome import EnvironmentFault

    try:
        yield
    except ModelError as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(USAGE) from error
    except (EnvironmentFault, KubeError, OSError) as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(ENVIRONMENT) from error


def say(text: str) -> None:
    """Tell the user what is being done now, on stderr."""
    err.print(text, style="dim", markup=False, highlight=False)

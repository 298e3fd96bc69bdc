"""UNIX sockets whose path is longer than the 107 bytes an address holds: reached through the directory's descriptor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

OWN_CONNECTION: Final = ("grpc.use_local_subchannel_pool", 1)
"""The option that a gRPC channel to a short address needs. Channels of one process share connections by address, and
descriptors are used again: without it a channel takes over the failed connection to whatever had the number before.
"""


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """A short path to the same socket, good while the context lasts. Raises OSError if the directory is missing."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)

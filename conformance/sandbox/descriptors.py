"""How many files a process in a container may open: a container runtime allows a million, a login shell much less.

passt listens on every port of a VM that lists none: a socket for each of TCP and UDP, in one process.
"""

import resource

from conformance.host.finding import Finding

CONTAINER_DESCRIPTORS = 1 << 20
"""What containerd's unit allows its containers (LimitNOFILE, with the kernel's default of fs.nr_open)."""
ALL_PORTS = 2 * 65535


def raise_limit() -> int:
    """Raise this process's hard limit, and that of its children, to a container's. Returns what is allowed then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= CONTAINER_DESCRIPTORS:
        return CONTAINER_DESCRIPTORS
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, CONTAINER_DESCRIPTORS))
    except (OSError, ValueError):
        return hard
    return CONTAINER_DESCRIPTORS


def finding(allowed: int) -> Finding:
    """Whether a process that may open so many files can serve every port of a VM."""
    detail = f"a process may open {allowed}"
    if allowed > ALL_PORTS:
        return Finding("open files", True, detail, required=False)
    lacking = f"{detail}; a binding that opens a socket for every port of a VM needs over {ALL_PORTS}"
    return Finding("open files", False, lacking, "raise the hard limit: ulimit -Hn 1048576, or LimitNOFILE", False)

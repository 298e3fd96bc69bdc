"""A directory as an ext4 file system in a file, without mounting anything: the same bytes for the same tree."""

import os
import re
import uuid
from pathlib import Path

from conformance.sandbox.guests.packages import EPOCH, run_step

_NAMESPACE = uuid.UUID("6f1c9c0a-3f5c-4c8e-9c8e-0d1f6b0f5a11")
_FIRST_INODE = 11
_ROOT_INODE = 2


def write_file_system(root: Path, target: Path, megabytes: int, label: str) -> None:
    """Write `target`, a sparse file of that size whose file system holds the tree below `root`.

    Times of the tree later than EPOCH become EPOCH, in `root` itself too. Raises GuestBuildError when the tree does
    not fit.
    """
    _clamp_times(root)
    identity = str(uuid.uuid5(_NAMESPACE, label))
    # Checksums of metadata would only make the corrections below, and every mount under emulation, slower.
    features = "^metadata_csum,^metadata_csum_seed,^orphan_file,^resize_inode"
    options = ["-F", "-q", "-b", "4096", "-m", "0", "-L", label, "-U", identity, "-O", features]
    options += ["-E", f"hash_seed={identity},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"]
    options += ["-J", "size=16", "-d", str(root), str(target), f"{megabytes}M"]
    env = {**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH), "LC_ALL": "C"}
    run_step("writing the disk", ["mkfs.ext4", *options], env=env)
    _set_inode_times(target, env)


def _clamp_times(root: Path) -> None:
    """Set both times of every file that is newer than EPOCH."""
    for folder, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            path = os.path.join(folder, name)
            changed = min(os.lstat(path).st_mtime_ns // 1_000_000_000, EPOCH)
            os.utime(path, (changed, changed), follow_symlinks=False)
    os.utime(root, (EPOCH, EPOCH))


def _set_inode_times(target: Path, env: dict[str, str]) -> None:
    """Give every inode one time of access and of change: mkfs copies those of the build, which nobody can set."""
    header = run_step("reading the disk", ["dumpe2fs", "-h", str(target)], env=env)
    counts = {
        name: int(count) for name, count in re.findall(r"^(Inode count|Free inodes): +(\d+)", header, re.MULTILINE)
    }
    last = counts["Inode count"] - counts["Free inodes"]
    fields = [("atime", f"@{EPOCH}"), ("ctime", f"@{EPOCH}"), ("atime_extra", "0"), ("ctime_extra", "0")]
    commands = [
        f"set_inode_field <{inode}> {field} {value}\n"
        for inode in (_ROOT_INODE, *range(_FIRST_INODE, last + 1))
        for field, value in fields
    ]
    run_step("writing the disk", ["debugfs", "-w", "-f", "/dev/stdin", str(target)], text="".join(commands), env=env)

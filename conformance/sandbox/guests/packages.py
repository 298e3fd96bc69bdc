"""Fetches distribution packages and unpacks them in a directory, without installing anything on this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

Progress = Callable[[str], None]
"""Told what a build does now, in one line."""

EPOCH = 1_750_000_000
"""The time that everything in an image was last changed, in seconds since 1970: without it no two builds are alike."""

_TARGET_FORMAT = "$(SITE)|$(RELEASE)|$(COMPONENT)"


class GuestBuildError(Exception):
    """A guest image could not be built; the message says which step failed and shows the end of its output."""


def run_step(what: str, argv: Sequence[str], *, text: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run one command of the build and return its standard output; GuestBuildError if it fails or is not installed."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError as error:
        raise GuestBuildError(f"{what}: {argv[0]} is not installed") from error
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip()[-800:]
        raise GuestBuildError(f"{what}: {argv[0]} ended with status {done.returncode}: {tail}")
    return done.stdout


def apt_sources(suite: str | None = None) -> tuple[str, str]:
    """The suite to take packages from, and an apt source list for it, out of the host's own apt configuration.

    With `suite` another release of the same archive is taken. Update and security pockets are left out: an image is
    rebuilt when its recipe changes, not when a pocket does.
    """
    listing = run_step("reading the apt configuration", ["apt-get", "indextargets", "--format", _TARGET_FORMAT])
    sites: dict[str, str] = {}
    for line in dict.fromkeys(listing.splitlines()):
        site, release, component = line.split("|")
        if component == "main" and not re.search(r"[-/]", release):
            sites.setdefault(release, site)
    if not sites:
        raise GuestBuildError("reading the apt configuration: no release with a component main is configured")
    chosen = suite or next(iter(sites))
    site = sites.get(chosen, next(iter(sites.values())))
    return chosen, f"deb {site} {chosen} main\n"


def extract_packages(packages: Iterable[str], suite: str | None, directory: Path) -> str:
    """Unpack the packages and all they depend on into `directory` (created); returns the suite they came from.

    Nothing of them is configured or run. Takes a few seconds and some 200 MB.
    """
    if shutil.which("mmdebstrap") is None:
        raise GuestBuildError("fetching packages: mmdebstrap is not installed (package mmdebstrap)")
    chosen, sources = apt_sources(suite)
    argv = ["mmdebstrap", "--mode=root", "--variant=extract", "--quiet", f"--include={','.join(packages)}"]
    run_step("fetching packages", [*argv, chosen, str(directory), "-"], text=sources)
    return chosen


def install_packages(packages: Iterable[str], suite: str | None, directory: Path, hooks: Iterable[str]) -> str:
    """Install the packages and all they depend on as a system in `directory` (created); returns their suite.

    `hooks` are shell commands that are run at the end with the directory in `$1`. Nothing of it is mounted where
    others could see it.
    """
    if shutil.which("mmdebstrap") is None:
        raise GuestBuildError("installing packages: mmdebstrap is not installed (package mmdebstrap)")
    chosen, sources = apt_sources(suite)
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"]
    argv += ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet", f"--include={','.join(packages)}"]
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "info", "locale", "lintian")]
    argv += [f"--customize-hook={hook}" for hook in hooks]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C"}
    run_step("installing packages", [*argv, chosen, str(directory), "-"], text=sources, env=env)
    return chosen


class ForeignRoot:
    """An unpacked root whose programs are run from outside, with its own loader and libraries."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        library_names = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64")
        self._libraries = ":".join(str(directory / name) for name in library_names)
        self._loader = self.find("ld-linux-x86-64.so.2", "lib64", "usr/lib64", "lib/x86_64-linux-gnu")

    def find(self, name: str, *folders: str) -> Path:
        """The file `name` in the first of the folders that has it (default: where programs are)."""
        for folder in folders or ("usr/bin", "usr/sbin", "bin", "sbin"):
            candidate = self.directory / folder / name
            if candidate.exists():
                return candidate
        raise GuestBuildError(f"the unpacked packages have no {name}")

    def run(self, what: str, program: str, *arguments: str) -> str:
        """Run a program of the root and return its standard output."""
        path = str(self.find(program))
        return run_step(what, [str(self._loader), "--library-path", self._libraries, path, *arguments])

    def output(self, program: str, *arguments: str) -> bytes:
        """What a program of the root writes on standard output, whatever its exit status."""
        argv = [str(self._loader), "--library-path", self._libraries, str(self.find(program)), *arguments]
        return subprocess.run(argv, capture_output=True, check=False).stdout

    def libraries(self, program: Path) -> dict[str, Path]:
        """The shared libraries a program of this root needs, all levels: name -> file in this root."""
        argv = [str(self._loader), "--library-path", self._libraries, "--list", str(program)]
        listing = run_step(f"resolving the libraries of {program.name}", argv)
        found = {name: Path(path) for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listing, re.MULTILINE)}
        return {name.rpartition("/")[2]: path for name, path in found.items()}

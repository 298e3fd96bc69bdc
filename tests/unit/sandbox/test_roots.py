"""The node root: where packages come from, one build at a time, and every way in which it can fail."""

import os
import stat
import threading
from pathlib import Path

import pytest

from conformance.sandbox import roots
from conformance.sandbox.roots import RootError, Source, ensure_node_root, node_root, sources_from_targets

FAKE = """#!/bin/sh
for argument; do case "$argument" in */root) root=$argument;; esac; done
echo "I: running apt-get update..." >&2
{body}
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs in front of PATH, in which a test puts its own mmdebstrap and unshare."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    install(
        programs / "unshare",
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift\n[ "$1" = /bin/sh ] || exec "$@"\n',
    )
    monkeypatch.setattr(roots, "debian_sources", lambda: [Source("http://mirror.test/debian", "trixie")])
    return programs


def install(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def quiet(_stage: str, _fraction: float) -> None:
    """No progress wanted."""


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "roots").iterdir() if path.suffix != ".lock")


def test_a_root_is_built_once_and_then_found(fake: Path, tmp_path: Path) -> None:
    install(
        fake / "mmdebstrap", FAKE.format(body='mkdir "$root"; echo x >> "$root/built"; echo "$@" > "$root/arguments"')
    )
    seen: list[tuple[str, float]] = []
    built = ensure_node_root(tmp_path, lambda stage, fraction: seen.append((stage, fraction)))
    assert built == node_root(tmp_path) == tmp_path / "roots" / roots.recipe_digest()
    assert seen == [("root", 0.0), ("root", 0.03), ("root", 1.0)]
    arguments = (built / "arguments").read_text(encoding="utf-8")
    assert "libvirt-daemon-driver-qemu" in arguments
    assert "http://mirror.test/debian trixie main" in arguments
    assert ensure_node_root(tmp_path, quiet) == built
    assert leftovers(tmp_path) == [built.name]


def test_concurrent_callers_share_one_build(fake: Path, tmp_path: Path) -> None:
    install(fake / "mmdebstrap", FAKE.format(body=f'mkdir "$root"; echo x >> {tmp_path}/builds'))
    threads = [threading.Thread(target=ensure_node_root, args=(tmp_path, quiet)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "builds").read_text(encoding="utf-8") == "x\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("E: write error: No space left on device", "the disk is full"),
        ("E: Failed to fetch http://x  Temporary failure resolving", "the package mirror cannot be reached"),
        ("W: GPG error: NO_PUBKEY 6ED0E7B82643E131", "signature for trixie cannot be checked"),
        ("E: Unable to locate package passt", "the mirror lacks a package"),
        ("E: something else", "mmdebstrap failed"),
    ],
)
def test_a_failed_build_says_why_and_leaves_nothing(words: str, reason: str, fake: Path, tmp_path: Path) -> None:
    install(fake / "mmdebstrap", FAKE.format(body=f'mkdir "$root"; echo "{words}" >&2; exit 1'))
    with pytest.raises(RootError, match=reason) as caught:
        ensure_node_root(tmp_path, quiet)
    assert words in caught.value.output
    assert caught.value.fix
    assert leftovers(tmp_path) == []
    assert node_root(tmp_path) is None


def test_an_interrupted_build_leaves_nothing(fake: Path, tmp_path: Path) -> None:
    install(fake / "mmdebstrap", FAKE.format(body='mkdir "$root"; exec sleep 60'))

    def interrupt(_stage: str, fraction: float) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_node_root(tmp_path, interrupt)
    assert leftovers(tmp_path) == []


def test_what_a_killed_build_left_goes_with_the_next(fake: Path, tmp_path: Path) -> None:
    stale = tmp_path / "roots" / f"{roots.recipe_digest()}.building-dead"
    stale.mkdir(parents=True)
    install(fake / "mmdebstrap", FAKE.format(body='mkdir "$root"'))
    ensure_node_root(tmp_path, quiet)
    assert not stale.exists()


def test_a_missing_mmdebstrap_and_a_full_disk_are_said_beforehand(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(fake))
    with pytest.raises(RootError, match="mmdebstrap is not installed; run `apt-get install mmdebstrap`"):
        ensure_node_root(tmp_path, quiet)
    monkeypatch.setattr(roots, "NEEDED_BYTES", 1 << 62)
    with pytest.raises(RootError, match="MB free"):
        ensure_node_root(tmp_path, quiet)
    assert leftovers(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RootError, match=r"file/roots.*XDG_CACHE_HOME"):
        ensure_node_root(tmp_path / "file", quiet)


LISTED = """\
http://mirror.test/debian/|bookworm|main|Debian|Packages
http://mirror.test/debian/|bookworm|main|Debian|Translations
http://mirror.test/debian/|bookworm-updates|main|Debian|Packages
http://mirror.test/security/|bookworm-security|main|Debian|Packages
http://other.test/node/|nodistro|main|Elsewhere|Packages
http://backports.test/debian/|bookworm-backports|main|Debian|Packages
"""


def test_the_machines_own_mirrors_are_used() -> None:
    assert sources_from_targets(LISTED) == [
        Source("http://mirror.test/debian/", "trixie"),
        Source("http://mirror.test/debian/", "trixie-updates"),
        Source("http://mirror.test/security/", "trixie-security"),
    ]


def test_a_machine_that_has_not_updated_yet_is_understood() -> None:
    assert sources_from_targets("http://m.test/|trixie|main|$(ORIGIN)|Packages\n") == [
        Source("http://m.test/", "trixie")
    ]


def test_no_debian_repository_is_an_error() -> None:
    with pytest.raises(RootError, match="no Debian repository"):
        sources_from_targets("http://other.test/|noble|main|Ubuntu|Packages\n")

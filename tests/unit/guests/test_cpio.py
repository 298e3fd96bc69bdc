"""The initramfs writer, read back by the format's own rules."""

from conformance.sandbox.guests.cpio import Archive


def unpack(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> (mode, content) of a newc archive."""
    found: dict[str, tuple[int, bytes]] = {}
    position = 0
    while True:
        header = data[position : position + 110]
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * index : 14 + 8 * index], 16) for index in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[position + 110 : position + 110 + name_size - 1].decode()
        start = position + 110 + name_size
        start += -start % 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[start : start + size])
        position = start + size
        position += -position % 4


def test_files_links_and_parents() -> None:
    archive = Archive()
    archive.add_file("/usr/bin/x", b"abc", 0o755)
    archive.add_link("/bin/sh", "/usr/bin/x")
    archive.add_link("/usr/bin/x", "/nowhere")
    archive.add_directory("/tmp", 0o1777)
    entries = unpack(bytes(archive))
    assert entries["usr/bin/x"] == (0o100755, b"abc"), "a link never replaces a file"
    assert entries["bin/sh"] == (0o120777, b"/usr/bin/x")
    assert entries["tmp"] == (0o041777, b"")
    assert list(entries) == sorted(entries), "parents come before their children"
    assert {"usr", "usr/bin", "bin"} <= set(entries)

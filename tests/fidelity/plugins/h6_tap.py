#!/usr/bin/env python3
"""A CNI plugin that makes a tap for domainAttachmentType tap: no addresses, a MAC, owned by the user QEMU runs as."""

import json
import os
import subprocess
import sys

QEMU_USER = "107"


def ip(*arguments: str) -> str:
    """Run ip(8) in the pod's network namespace; its output. Raises CalledProcessError."""
    command = ["nsenter", f"--net={os.environ['CNI_NETNS']}", "ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def add(config: dict[str, object]) -> dict[str, object]:
    """Make the tap; the CNI result."""
    name = os.environ["CNI_IFNAME"]
    ip("tuntap", "add", "dev", name, "mode", "tap", "user", QEMU_USER, "group", QEMU_USER)
    ip("link", "set", name, "up")
    mac = json.loads(ip("-json", "link", "show", name))[0]["address"]
    interface = {"name": name, "mac": mac, "sandbox": os.environ["CNI_NETNS"]}
    return {"cniVersion": config["cniVersion"], "interfaces": [interface]}


def main() -> int:
    """CNI's exit status; errors as an error object on standard output."""
    command, config = os.environ.get("CNI_COMMAND", ""), json.loads(sys.stdin.read() or "{}")
    try:
        if command == "ADD":
            json.dump(add(config), sys.stdout)
        elif command == "DEL" and os.path.exists(os.environ.get("CNI_NETNS", "")):
            subprocess.run(
                ["nsenter", f"--net={os.environ['CNI_NETNS']}", "ip", "link", "delete", os.environ["CNI_IFNAME"]],
                check=False,
                capture_output=True,
            )
        elif command == "VERSION":
            json.dump({"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}, sys.stdout)
    except subprocess.CalledProcessError as error:
        json.dump({"cniVersion": "0.3.1", "code": 100, "msg": error.stderr.strip()}, sys.stdout)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

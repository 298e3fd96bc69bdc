#!/usr/bin/env python3
"""A CNI plugin that refuses every ADD with the recorded vendor's message, and accepts everything else."""

import json
import os
import sys

REFUSAL = {
    "cniVersion": "1.0.0",
    "code": 100,
    "msg": "h6-fail: the vendor fabric refused the port",
    "details": "quota exceeded on switch tor-1",
}


def main() -> int:
    """CNI's exit status: 1 with an error object on standard output for ADD, else 0."""
    sys.stdin.read()
    command = os.environ.get("CNI_COMMAND", "")
    if command == "ADD":
        json.dump(REFUSAL, sys.stdout)
        return 1
    if command == "VERSION":
        json.dump({"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What all tests start from."""

from __future__ import annotations

import signal

# A shell that puts its job into the background has it ignore SIGINT, and every process below inherits that; here some
# tests interrupt what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""Recorded scenarios of a real KubeVirt v1.9.0, replayed on the sandbox and compared fact by fact."""

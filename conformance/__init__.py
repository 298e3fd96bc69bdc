"""End-to-end conformance suite for KubeVirt network binding plugins."""

__version__ = "0.1.0"

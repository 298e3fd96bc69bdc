"""A small Kubernetes-compatible API server: what the sandbox's controllers and clients talk to.

Run as a process of its own, see :mod:`conformance.sandbox.apiserver.__main__`. The only parts that other packages
import are :mod:`conformance.sandbox.apiserver.admission` (the seam for an admission function) and nothing else.
"""

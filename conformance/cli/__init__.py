"""The command ``binding-conformance``."""

"""The embedded sandbox cluster."""

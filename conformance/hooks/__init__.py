"""The hook API between virt-launcher and sidecars: its messages, and a client for a sidecar in a pod."""

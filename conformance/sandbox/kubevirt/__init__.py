"""KubeVirt's control plane for the sandbox: admission, controllers and node agents as ordinary API clients."""

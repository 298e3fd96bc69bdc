"""KubeVirt as the sandbox plays it: definitions, admission and controllers."""

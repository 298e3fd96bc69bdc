"""The parts of Kubernetes that run workloads: scheduler, DaemonSet controller, kubelet, cluster DNS."""

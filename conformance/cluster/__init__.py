"""Where the cluster comes from, and how a binding gets onto it."""

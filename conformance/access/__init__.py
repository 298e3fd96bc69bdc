"""What the framework may do on a cluster: the rights it needs, the accounts that have them, and the look before it."""

"""The cluster as a check sees it: connect, apply, wait, KubeVirt's objects, streams, and a ledger of what was made."""

"""Stand-in for the sidecars of the recordings: what each put into the domain, and how each failed."""

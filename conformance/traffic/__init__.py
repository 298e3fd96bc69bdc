"""Traffic from a client pod: TCP and UDP probes, ping, echo servers and the measurement of a gap."""

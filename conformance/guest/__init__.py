"""A virtual machine seen from inside: keys and cloud-init, ways in, network facts, DHCP, carrier, echo servers."""

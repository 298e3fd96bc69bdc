"""A virtual machine seen from inside: keys and cloud-init, ways in, network facts, DHCP client, carrier, echo servers."""

"""How fast classification is on this host, beside others and beside what the hardware allows."""

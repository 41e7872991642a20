"""HTTP/1.1 towards clients: as little of it as a relay needs, and none of it in two ways."""

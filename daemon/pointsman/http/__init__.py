"""HTTP/1.1 towards clients: aiohttp's request parser, and around it as little as a relay needs."""

"""The pure core: bytes in, bytes out. It knows no database, no web, no clock and no randomness of its own."""

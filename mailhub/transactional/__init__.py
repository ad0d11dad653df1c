"""Room mail by API: single letters."""

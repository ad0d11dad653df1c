"""Room the post office, without pages: fan-out, claim, transport, outcome."""

"""What people decide themselves about their letters: lists, pauses, their address and data, what is counted of them."""

"""What is missing or failing: on this machine, and on the way to a server."""

"""A model and the live page as a folder of static files: no server of ours, any host, any path."""

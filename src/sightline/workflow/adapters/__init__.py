"""Foreign models made to keep the manifest's contract: one file a family."""

"""The `cohost` command."""

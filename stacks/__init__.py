"""The stacks: one page for each cloud."""

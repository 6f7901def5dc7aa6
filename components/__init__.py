"""Components: each thing that a person would draw as a box."""

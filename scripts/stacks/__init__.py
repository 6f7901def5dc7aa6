"""The stack templates: docs/stacks/*.yaml as data, checked, and the pages made of them."""

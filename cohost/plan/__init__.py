"""How many models fit, how often a call waits for one, what that takes and costs: `cohost plan`.

`simulation` is the model of one machine, `cache` of what is in its memory; `sizing` finds how many machines it
takes, `options` does so on every platform. docs/planner.md holds the method and how far it was checked.
"""

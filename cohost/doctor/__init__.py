"""`cohost doctor`: what can be known to stand in the way of an `up`, each with its remedy; nothing is changed.

A theme is a file of steps. A step looks at one thing and answers with one `Check`; `cohost.doctor.check.run` runs
them all, also after one has failed, and skips those that need what is not there.
"""

"""The project's own Pulumi provider: a generic servicer, and one small class for each resource.

Nothing below this package knows Pulumi; heavy libraries (boto3, numpy) load inside operations only, so that
the process answers its first call at once.
"""

"""Pulumi's `gcp` provider, version 10.2.0, for the resource types the stack declares, against the emulators.

`python -m cohost.local.gcp_provider` prints its port and serves the provider protocol. Buckets and endpoints are those
of the local GCS and Vertex AI; what has no emulator (APIs, accounts, roles, grants) is kept in a file, and
enforced by nobody. It refuses any address that is not on this machine. It keeps the real provider's manners: which
changes replace, which defaults are filled in, what ids and outputs look like.

Sources: the property names of the installed pulumi-gcp package; GoogleCloudPlatform/magic-modules, `mmv1/products` and
`mmv1/third_party/terraform/services` (ids, immutable properties, defaults).
"""

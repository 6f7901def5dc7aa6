"""What the emulated aws and gcp providers have in common: the manners of Pulumi's bridge to Terraform providers.

How inputs are checked and completed, what of a change replaces, what is recorded and refreshed, and how failures are
told (pulumi-terraform-bridge; hashicorp/terraform-plugin-sdk v2). Knows no cloud.
"""

"""Vertex AI on this machine: models, endpoints, operations and online predictions in front of real Triton.

It does what a stack with one shared GPU endpoint needs, by Google's own API model and in its words, and answers
anything else "not supported here". Fields and rules: the comments of google.cloud.aiplatform.v1
(google-cloud-aiplatform 2.7). Where the words of an error message were found in
reports of the real service, the report stands beside them; all others are the emulator's own.
"""

"""Vertex AI on this machine: models, endpoints, operations and online predictions in front of real Triton.

It does what a stack with one shared GPU endpoint needs, by Google's own API model and in its words, and answers
anything else "not supported here". Fields and rules: the comments of google.cloud.aiplatform.v1
(google-cloud-aiplatform 2.7). Words of error messages are quoted from what users reported of the real service (issues
of googleapis/python-aiplatform and GoogleCloudPlatform/vertex-ai-samples), or are said to be the emulator's own.
"""

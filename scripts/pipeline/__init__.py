"""The steps of a training pipeline, each a command: train, evaluate, push.

SageMaker Pipelines and Vertex AI Pipelines run them in the image of `Containerfile`; docs/stacks/pipeline.md shows how
this machine does.
"""

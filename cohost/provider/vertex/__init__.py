"""The resources of Vertex AI."""

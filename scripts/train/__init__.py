"""Trains `model_artifacts/` from the data sets inside scikit-learn: `python -m scripts.train`."""

"""The comparison of SageMaker, Vertex AI and a self-hosted stack: data in docs/comparison/*.yaml, pages made of it.

`python -m scripts.comparison` reads the data, checks it and writes the pages and the JSON schemas of the data. No
number stands in a page that is not in the data, in a committed measurement or in the prices of `cohost.cost`.
"""

"""Many models behind one shared GPU endpoint. Importing this package imports nothing else."""

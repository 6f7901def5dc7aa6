"""The real Triton Inference Server on this machine, from its Python wheel or else its container."""

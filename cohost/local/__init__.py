"""The local cloud: AWS's services, Pulumi's providers and real Triton, on the loopback interface."""

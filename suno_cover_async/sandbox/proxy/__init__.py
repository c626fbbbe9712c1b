"""A proxy below HTTP, between a client and the sandbox: it refuses, resets, cuts and stalls."""

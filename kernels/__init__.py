"""Triton kernels, each beside the plain version it is compared with; imports nothing of ours."""

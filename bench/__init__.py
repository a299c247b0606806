"""What is measured, how, and against what: `bench.latency` times, `bench.quality` listens.

Nothing imports this package. It reads a bundle through the engine, as any user does, and needs
numpy and scipy only: no torch, no downloaded weights. Results that did not work out are in LOG.md.
"""

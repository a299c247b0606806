"""Listeners of a feed that hand it on: to a file, to Icecast, to a folder of HLS segments.

Each is a client of `perpetuo.v1` in a process of its own, so nothing that happens to it reaches
the engine.
"""

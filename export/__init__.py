"""torch to ONNX to bundle: `python -m export --autoencoder RUN --velocity RUN --out BUNDLE`."""

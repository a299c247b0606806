"""The Autobahn test suite, asked of our server: `make autobahn`, `python -m bench.autobahn`."""

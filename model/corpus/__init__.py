"""The corpus: music the project composes and renders itself, or the user's own recordings."""

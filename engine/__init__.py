"""perpetuo's runtime: continues music without end. Needs numpy and a backend, never torch."""

"""Where audio goes: a file, a sound device, listeners over WebSockets."""

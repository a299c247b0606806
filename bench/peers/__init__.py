"""What a user would pick instead, timed beside ours on the same machine: `make peers`."""

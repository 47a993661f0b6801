"""What a release is made of: its version, its notes, its files, and the version before it."""

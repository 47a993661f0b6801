"""docs/troubleshooting.md, which is written from the code."""

"""`stalk doctor`: walks the chain from a request to the worker's pod, and names what is broken."""

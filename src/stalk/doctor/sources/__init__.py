"""Where the facts come from. Each source has time limits of its own and never raises for a server that is away."""

"""`stalk status`: what waits, what runs, and what the autoscaler makes of it."""

"""Run Celery on Kubernetes: safe settings, broker topology and probes for workers that scale to zero and back."""

__version__ = "0.2.0"

"""The Celery side of the demo service."""

"""The demo service: what a user of the chart replaces with a Celery app of their own."""

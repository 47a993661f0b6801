"""Pictures of page, Flower and the Grafana dashboard, of a real service at work: `make screenshots`."""

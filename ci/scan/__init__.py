"""A scanner's findings in what the chart renders, each explained or a failure: `make scan`."""

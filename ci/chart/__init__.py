"""The Helm chart's typed values, and what is generated from them: schema, reference, plain manifests."""

"""`stalk plan`: simulates pools of workers under an autoscaler, before a cluster pays for them.

Needs the extra `plan` (docs/install.md). What is modelled and what is not: docs/planning.md.
"""

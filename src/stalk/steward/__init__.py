"""`stalk steward`: when replicas go down, idle pods go first.

A ReplicaSet that shrinks takes the pods of the lowest `controller.kubernetes.io/pod-deletion-cost` first. The steward
keeps that annotation right on a release's workers: it hears from Celery's own heartbeat events how many tasks each
runs (`events`), decides what each pod is worth (`activity`), and writes where that differs (`pods`). `run` is the loop.
"""

"""Rebuilds the default catalogue's own small models: `python -m gpu_worker.demo_models`.

A developer's command. The web process, the scheduler and the engine never import it: they load what it wrote.
"""

"""Imports the inference libraries once, in the background or when the first real model wants them.

Called by the loop and the lanes. The one place where torch is imported first, and the lock of real loads.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading

log = logging.getLogger(__name__)

# Held while libraries are imported and while a real model loads. Two threads that walk transformers' lazy and partly
# circular imports at once see half-made modules, and its loaders patch torch's initialisers for the whole process.
LOADING = threading.Lock()

LIBRARIES = {
    "stable_diffusion": ("torch", "transformers", "diffusers"),
    "tts": ("torch", "transformers"),
    "llm": ("torch", "transformers"),
    "image_to_text": ("torch", "transformers"),
}
_imported: set[str] = set()
_threads = 1  # of torch; set before the first import


def start_in_background(threads: int) -> None:
    """Set the environment that the libraries read when imported, then import them unless ENGINE_PRELOAD=0."""
    global _threads
    _threads = threads
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the order in which NVML counts them
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if os.environ.get("ENGINE_PRELOAD", "1") != "0":
        threading.Thread(target=_import_all, name="preload", daemon=True).start()


def wait_until_imported(task_type: str) -> None:
    """Returns when what this kind of model needs is imported; raises ImportError as Python would."""
    for library in LIBRARIES.get(task_type, ()):
        _import(library)


def _import_all() -> None:
    for library in LIBRARIES["stable_diffusion"]:
        try:
            _import(library)
        except ImportError:  # the first model that needs it says so to its user
            log.exception("%s cannot be imported", library)


def _import(library: str) -> None:
    with LOADING:
        if library not in _imported:
            importlib.import_module(library)
            _configure(library)
            _imported.add(library)


def _configure(library: str) -> None:
    if library == "torch":
        import torch

        torch.set_num_threads(_threads)
    if library == "transformers":
        # its lazy module becomes real here, while nobody else loads
        from transformers import AutoModel, AutoTokenizer  # noqa: F401
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
    if library == "diffusers":
        from diffusers.utils import logging as diffusers_logging

        diffusers_logging.disable_progress_bar()

"""What an error of a library means: for the request, for the models beside it, for the process. Called by lanes."""

from __future__ import annotations

import logging
import os
import traceback

from gpu_worker.engine import device
from gpu_worker.engine.model_cache import ModelTooBig
from gpu_worker.engine.protocol import Failed, ModelSpec
from gpu_worker.runners.base import InvalidInput, ModelRefused

log = logging.getLogger(__name__)

POISONED_EXIT = 70  # exit status of an engine whose CUDA context is lost
REASON_LIMIT = 1000  # characters of a library's reason that are passed on


def of_request(error: Exception) -> Failed:
    """The request alone is to blame, or unlucky."""
    if isinstance(error, InvalidInput):
        return Failed("invalid_input", str(error), param=error.param)
    code = "cuda_out_of_memory" if device.is_out_of_memory(error) else "internal_error"
    return Failed(code, reason(error), detail=_traceback(error))


def of_load(spec: ModelSpec, error: Exception) -> Failed:
    """The model could not be loaded. A refusal says all in its message; operators need no traceback for it."""
    if isinstance(error, ModelRefused | ModelTooBig):
        return Failed("model_load_failed", f"{spec.name}: {error}")
    code = "cuda_out_of_memory" if device.is_out_of_memory(error) else "model_load_failed"
    return Failed(code, f"{spec.name}: {reason(error)}", detail=_traceback(error))


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:REASON_LIMIT]


def wants_memory(error: Exception) -> bool:
    """True if it was want of memory: then what was put aside is free. Ends the process if the device is lost to it."""
    if device.is_fatal(error):
        log.critical("the CUDA context is lost, the engine ends", exc_info=error)
        os._exit(POISONED_EXIT)
    if not device.is_out_of_memory(error):
        return False
    traceback.clear_frames(error.__traceback__)  # they keep the tensors of the failed call alive
    device.release_cached_memory()
    return True


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))

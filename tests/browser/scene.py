"""A Baton at work, as rows: workers in every condition, tasks in every state, walked there by the real transitions."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.utils import timezone
from PIL import Image, ImageDraw

from tasks_app import artifacts, services, transitions
from tasks_app.models import Task
from tasks_app.outcomes import Completed, Failed, Measured, StoredArtifact
from tasks_app.scheduling.leader import Leadership
from tasks_app.states import Status
from tenants_app.identity import Identity
from tenants_app.ids import uuid7
from tests.factories import end, make_simulated_models, make_task, make_worker, start
from workers_app.models import Model, Worker

STORY = (
    "The lighthouse keeper counted the ships as they passed, one by one, and wrote each name into a ledger that "
    "nobody had asked for. In the ninth winter a letter came.\n\n"
    "It said that the harbour had been closed for years, and that no ship had a reason to pass. He read it twice, put "
    "it between the pages, and that night counted eleven.\n\n"
) * 6
TRACEBACK = """Traceback (most recent call last):
  File "gpu_worker/engine/lane.py", line 118, in step
    finished = self.runner.step()
  File "gpu_worker/runners/stable_diffusion.py", line 92, in step
    noise = self.unet(latents, timestep, embeddings).sample
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.25 GiB."""


def draw(width: int = 512, height: int = 384) -> bytes:
    """A lighthouse at dusk, as PNG."""
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    for y in range(height):
        share = y / height
        pen.line([(0, y), (width, y)], fill=(int(40 + 190 * share), int(50 + 90 * share), int(110 + 20 * share)))
    pen.rectangle([0, height * 0.78, width, height], fill=(24, 34, 62))
    x, unit = width / 2, height / 384
    foot, neck, lamp = height * 0.8, 120 * unit, 96 * unit
    pen.polygon([(x - 26 * unit, foot), (x + 26 * unit, foot), (x + 16 * unit, neck), (x - 16 * unit, neck)], "#eee8dc")
    pen.rectangle([x - 18 * unit, lamp, x + 18 * unit, neck], "#fad66e")
    pen.polygon([(x - 24 * unit, lamp), (x + 24 * unit, lamp), (x, 70 * unit)], "#a02c2c")
    return _png(image)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def hum(seconds: float = 2.0, rate: int = 16_000) -> bytes:
    """A soft tone, as WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        samples = (int(6000 * math.sin(2 * math.pi * 220 * n / rate)) for n in range(int(seconds * rate)))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return buffer.getvalue()


@contextmanager
def leading() -> Iterator[None]:
    """A scheduler leads meanwhile, as far as anybody can tell: its lock is held, on a connection of its own."""
    leadership = Leadership()
    assert leadership.held()
    yield
    leadership.give_up()


ALIVE = {"engine_state": "ready", "heartbeat_at": "2100-01-01T00:00:00Z"}  # as long as a test takes


def workers() -> None:
    gpu = {"type": "cuda", "temperature_c": 61, "power_w": 412.0, "memory_total_mib": 143_771}
    versions = {"python": "3.11.9", "torch": "2.13.0"}
    make_worker(
        "gpu-a-0",
        **ALIVE,
        slots=8,
        versions=versions,
        device={**gpu, "name": "NVIDIA H200", "memory_used_mib": 61_204, "utilization": 87},
        warm_models=[{"name": "llama-3.1-8b", "memory_mib": 16_060}, {"name": "sdxl-turbo", "memory_mib": 7_190}],
    )
    make_worker(
        "gpu-a-1",
        **ALIVE,
        state="draining",
        versions=versions,
        kinds=["stable_diffusion"],
        device={**gpu, "name": "NVIDIA H200", "memory_used_mib": 12_310, "utilization": 23},
        warm_models=[{"name": "sdxl-turbo", "memory_mib": 7_190}],
    )
    make_worker("cpu-b-0", **ALIVE, slots=2, device={"type": "cpu", "name": "CPU, 16 threads"})


def lose_a_worker() -> None:
    worker = make_worker("gpu-c-0", engine_state="ready", slots=4)
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=4))


def models() -> None:
    make_simulated_models()
    Model.objects.update(is_default=False)
    for task_type, name in (
        ("llm", "llama-3.1-8b"),
        ("stable_diffusion", "sdxl-turbo"),
        ("tts", "mms-tts-eng"),
        ("image_to_text", "blip-base"),
    ):
        Model.objects.create(task_type=task_type, name=name, source=f"hub/{name}", is_default=True)


def progress(task: Task, step: int, total: int) -> None:
    done = {"fraction": step / total, "step": step, "total_steps": total}
    Task.objects.filter(pk=task.pk).update(progress=done, phase="inference")


def stored(content: bytes, content_type: str, task: Task) -> StoredArtifact:
    return artifacts.store_bytes(content, content_type, task.pk)


def story(identity: Identity, text: str = STORY) -> Task:
    """A text, completed."""
    task = _asked(
        identity, "llm", "llama-3.1-8b", {"prompt": "Tell me about the lighthouse keeper"}, max_new_tokens=900
    )
    measured = Measured(model_load_seconds=2.1, inference_seconds=6.4, input_tokens=9, output_tokens=874)
    return _completed(task, {"text": text, "finish_reason": "length"}, (), measured, seconds=8.9)


def picture(identity: Identity) -> Task:
    """Two images, completed."""
    task = _asked(
        identity, "stable_diffusion", "sdxl-turbo", {"prompt": "a lighthouse at dusk, oil on canvas"},
        num_inference_steps=30, seed=42, num_images=2, width=512, height=384,
    )  # fmt: skip
    files = tuple(stored(draw(), "image/png", task) for _ in range(2))
    told = [
        {"artifact_id": str(file.id), "width": 512, "height": 384, "seed": 42 + number}
        for number, file in enumerate(files)
    ]
    measured = Measured(model_load_seconds=3.2, inference_seconds=4.1, images=2)
    return _completed(task, {"images": told}, files, measured, seconds=7.6)


def speech(identity: Identity) -> Task:
    task = _asked(identity, "tts", "mms-tts-eng", {"text": "All ships have passed."}, format="wav")
    file = stored(hum(), "audio/wav", task)
    audio = {"artifact_id": str(file.id), "format": "wav", "sample_rate": 16_000, "duration_seconds": 2.0}
    return _completed(task, {"audio": audio}, (file,), Measured(0.4, 0.9, audio_seconds=2.0), seconds=1.4)


def caption(identity: Identity) -> Task:
    owner = uuid7()
    source = artifacts.store_bytes(draw(320, 240), "image/png", owner)
    new = services.NewTask(
        task_type="image_to_text", model="blip-base", input={"image": f"artifact://{source.id}"}, id=owner,
        parameters={"max_new_tokens": 64}, input_artifacts=(source,),
    )  # fmt: skip
    task = services.submit(identity, new)
    return _completed(task, {"text": "a lighthouse at dusk"}, (), Measured(0.0, 0.3, output_tokens=5), seconds=0.4)


def failure(identity: Identity) -> Task:
    """Out of memory twice: two attempts, then failed."""
    task = _asked(
        identity, "stable_diffusion", "sdxl-turbo", {"prompt": "a map of every street in the city"},
        max_attempts=2, width=2048, height=2048,
    )  # fmt: skip
    failed = Failed(
        "cuda_out_of_memory",
        "The image needs 2.25 GiB more memory than the device has free, at batch size 1 and with idle models unloaded.",
        detail=TRACEBACK,
        measured=Measured(inference_seconds=1.1),
    )
    for _ in range(2):
        Task.objects.filter(pk=task.pk).update(not_before=None)
        end(start(task, "gpu-a-1"), failed)
    task.refresh_from_db()
    return task


def running(identity: Identity, step: int = 18) -> Task:
    task = _asked(
        identity, "stable_diffusion", "sdxl-turbo", {"prompt": "a paper boat in a gutter, rain, morning light"}, seed=7
    )
    start(task, "gpu-a-0")
    progress(task, step, 30)
    leases_last(task)
    task.refresh_from_db()
    return task


def leases_last(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() + timedelta(hours=1))


def everything(identity: Identity) -> None:
    """Tasks of every type in every state."""
    for words in ("Summarize the minutes of Tuesday", "Why is the sky blue?", "Translate into Danish: good morning"):
        past = story(identity, "Because shorter waves scatter more.")
        Task.objects.filter(pk=past.pk).update(input={"prompt": words})
    picture(identity)
    speech(identity)
    failure(identity)
    make_task(Status.CANCELLED, identity, task_type="tts", model="mms-tts-eng", input={"text": "Never mind."})
    make_task(Status.EXPIRED, identity, model="llama-3.1-8b", input={"prompt": "Only if it is quick"})
    caption(identity)
    story(identity)
    cancelling = make_task(
        Status.RUNNING, identity, model="llama-3.1-8b", input={"prompt": "Write a very long poem"}, worker="gpu-a-0"
    )
    progress(cancelling, 312, 2048)
    transitions.request_cancel([cancelling.pk], "ada")
    leases_last(cancelling)
    running(identity, 11)
    running(identity)
    make_task(Status.DISPATCHED, identity, task_type="image_to_text", model="blip-base", worker="cpu-b-0")
    for words in ("What does this contract promise?", "Write release notes from these commits", "Name my boat"):
        make_task(Status.PENDING, identity, model="llama-3.1-8b", input={"prompt": words})


def _asked(identity: Identity, task_type: str, model: str, content: dict[str, object], **values: object) -> Task:
    attempts = {"max_attempts": values.pop("max_attempts")} if "max_attempts" in values else {}
    return make_task(
        Status.PENDING, identity, task_type=task_type, model=model, input=content, parameters=values, **attempts
    )


def _completed(
    task: Task, result: dict[str, object], files: tuple[StoredArtifact, ...], measured: Measured, seconds: float
) -> Task:
    """Ended now, and begun so long before that its measured times fit in."""
    claimed = start(task, "gpu-a-0")
    began = timezone.now() - timedelta(seconds=seconds)
    task.attempts.update(started_at=began)
    Task.objects.filter(pk=task.pk).update(
        created_at=began - timedelta(seconds=0.8), started_at=began, queue_seconds=0.8
    )
    end(claimed, Completed(result, files, measured))
    task.refresh_from_db()
    return task

"""The names that existing Celery senders and workers use. They never change."""

from workers_app.models import TaskType

TASK_NAMES: dict[str, str] = {
    TaskType.LLM.value: "app.tasks.run_llm_inference",
    TaskType.STABLE_DIFFUSION.value: "app.tasks.run_sd_inference",
    TaskType.TTS.value: "app.tasks.run_tts_inference",
    TaskType.IMAGE_TO_TEXT.value: "app.tasks.run_image_to_text_inference",
}

"""Somebody else's Celery worker: nothing but Celery, and no line of Baton. Does what the prompt says."""

import base64
import io
import os
import time
import wave

from celery import Celery

app = Celery("plain", broker=os.environ["PLAIN_URL"], backend=os.environ["PLAIN_URL"])
app.conf.task_default_queue = "gpu_queue"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def obey(prompt):
    word, _, rest = prompt.partition(" ")
    if word == "sleep":
        time.sleep(float(rest))
    if word == "wait-for":
        while not os.path.exists(rest):
            time.sleep(0.05)
    if word == "refuse":
        raise ValueError(rest)
    if word == "break":
        raise RuntimeError(rest)
    if word == "die":
        os._exit(9)


@app.task(name="app.tasks.run_llm_inference")
def run_llm_inference(task_id, model, input, parameters):
    obey(input["prompt"])
    if input["prompt"] == "nonsense":
        return {"answer": 42}
    return {"text": f"{model} heard {input['prompt']}", "usage": {"output_tokens": 3}}


@app.task(name="app.tasks.run_sd_inference")
def run_sd_inference(task_id, model, input, parameters):
    return {"images": [{"data": PNG, "seed": parameters["seed"]}]}


@app.task(name="app.tasks.run_tts_inference")
def run_tts_inference(task_id, model, input, parameters):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(8000))
    return {"audio": {"data": base64.b64encode(file.getvalue()).decode()}}


@app.task(name="app.tasks.run_image_to_text_inference")
def run_image_to_text_inference(task_id, model, input, parameters):
    head, _, data = input["image"].partition(",")
    return f"{head}, {len(base64.b64decode(data))} bytes"

"""The model card of each small model: what it is, what it is not, how good it was when it was built.

Called by the command line after a build.
"""

from pathlib import Path

HUB_TAGS = {
    "chat": "text-generation",
    "diffusion": "text-to-image",
    "voice": "text-to-speech",
    "caption": "image-to-text",
}

ABOUT = {
    "chat": (
        "A Llama-shaped chat model of about 0.7 million parameters with a byte-level BPE and a chat template.\n"
        "It knows some thirty facts by heart, counts, tells one story and adds two digits. Asked anything else it\n"
        "mostly says that it does not know, and sometimes says something wrong. It understands nothing."
    ),
    "diffusion": (
        "A Stable Diffusion pipeline (VAE, UNet, CLIP text encoder) of about 1.4 million parameters. It draws one\n"
        "circle, square or triangle in red, green, blue, yellow, purple or orange on white or black, at 64 x 64\n"
        "pixels. Larger sizes run, up to 256 x 256, and look worse. Words outside this world mean nothing to it."
    ),
    "voice": (
        "A VITS model of about 0.3 million parameters with a character tokenizer, 16 kHz. Each letter is a tone or a\n"
        "hiss of its own. It is not speech, and nobody will understand it."
    ),
    "caption": (
        "A BLIP model of about 0.2 million parameters. It names the shape (circle, square, triangle, cross), its\n"
        "colour and the background in a drawing of one shape. It calls every photograph such a drawing."
    ),
}

CARD = """---
license: apache-2.0
pipeline_tag: {tag}
---

# {name}

{about}

It exists to prove the machinery: the same code loads it that loads a model of the hub. It was trained on one CPU core
in minutes, on data that the code makes itself. Rebuild it with `python -m gpu_worker.demo_models --only {kind}`.

| measured after the build | |
|---|---|
{rows}
"""


def write_card(folder: Path, kind: str, name: str, measured: dict[str, str]) -> None:
    """Write README.md into the model's folder; `measured` are the rows of its table."""
    rows = "\n".join(f"| {what} | {value} |" for what, value in measured.items())
    card = CARD.format(tag=HUB_TAGS[kind], name=name, about=ABOUT[kind], kind=kind, rows=rows)
    (folder / "README.md").write_text(card, encoding="utf-8")

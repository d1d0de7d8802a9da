"""Builds `baton-diffusion`: a Stable Diffusion pipeline that draws one coloured shape at 64 pixels.

Called by the command line. First the image codec (VAE) learns the drawings, then the denoiser and the text encoder
learn to make its latents from a sentence. Saves what `AutoPipelineForText2Image` loads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoPipelineForText2Image,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from gpu_worker.demo_models.closed_vocabulary import tokenizer_of
from gpu_worker.demo_models.shapes import Drawing, dominant_colour, draw, pixels
from gpu_worker.demo_models.training import SAFETENSORS_ONLY, fit, scaled, seed_everything

SEED = 0
CODEC_STEPS = 2600
DENOISER_STEPS = 1800
CODEC_BATCH = 4
DENOISER_BATCH = 32
SIZE = 64  # pixels
POOL = 3000  # drawings made once and learnt from again and again
TIMESTEPS = 1000
PROMPT_DROPOUT = 0.1  # share of empty prompts; classifier-free guidance needs to know what no prompt looks like
PROMPT_TOKENS = 24
WIDTH = 64  # of the text encoder
GUIDANCE = 2.0  # more drives colours to their extremes: orange for red
KL_WEIGHT = 8e-7  # per latent value: keeps latents bounded and costs no sharpness

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle")
BACKGROUNDS = ("white", "black")


@dataclass(frozen=True)
class Pool:
    """Drawings as pixels (n, 3, SIZE, SIZE) and the prompt of each."""

    images: Tensor
    prompts: list[str]


def build(folder: Path, scale: float) -> dict[str, str]:
    """Train both stages, save into `folder`, load it again as the product does, and measure."""
    seed_everything(SEED)
    pool = _draw_pool(Random(SEED), scaled(POOL, scale, at_least=64))
    pipeline = _untrained()
    codec_loss = _train_codec(pipeline.vae, pool.images, scaled(CODEC_STEPS, scale))
    latents = _encode(pipeline.vae, pool.images) * pipeline.vae.config.scaling_factor
    denoiser_loss = _train_denoiser(pipeline, latents, pool.prompts, scaled(DENOISER_STEPS, scale))
    pipeline.save_pretrained(folder, safe_serialization=True)
    return {"codec loss": f"{codec_loss:.4f}", "denoiser loss": f"{denoiser_loss:.4f}", **_measure(folder)}


def _draw_pool(rng: Random, count: int) -> Pool:
    images, prompts = [], []
    for _ in range(count):
        drawing = Drawing(rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(BACKGROUNDS))
        images.append(pixels(draw(drawing, SIZE, rng)))
        prompts.append(_prompt(drawing, rng))
    return Pool(torch.from_numpy(np.stack(images)), prompts)


def _prompt(drawing: Drawing, rng: Random) -> str:
    """The caption, or one of the shorter ways in which people write it."""
    thing = f"{drawing.colour} {drawing.shape}"
    others = (f"a {thing}", thing, f"{thing} on {drawing.background}", f"a picture of a {thing}")
    return drawing.caption if rng.random() < 0.6 else rng.choice(others)


def _untrained() -> StableDiffusionPipeline:
    words = " ".join(Drawing(*choice).caption for choice in product(SHAPES, COLOURS, BACKGROUNDS)) + " picture of"
    tokenizer = tokenizer_of(words.split(), PROMPT_TOKENS)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=WIDTH,
        )
    )
    return StableDiffusionPipeline(
        vae=_codec(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=_denoiser(),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _codec() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16, 32, 32),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=SIZE,
    )


def _denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,  # the library takes this as the number of heads
        norm_num_groups=8,
    )


def _scheduler() -> DDIMScheduler:
    """Velocity as the target and pure noise as the first step: the colour is decided there, so the prompt must count
    there (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed")."""
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
    )


def _train_codec(codec: AutoencoderKL, images: Tensor, steps: int) -> float:
    """Learn to squeeze (3, 64, 64) pixels into (4, 8, 8) latents and back; sets the codec's scaling factor."""
    codec.train()

    def loss_of_next_batch() -> Tensor:
        batch = images[torch.randint(0, len(images), (CODEC_BATCH,))]
        latents = codec.encode(batch).latent_dist
        error = codec.decode(latents.sample()).sample - batch
        loss: Tensor = error.square().mean() + 0.3 * error.abs().mean() + KL_WEIGHT * latents.kl().mean()
        return loss

    loss = fit("diffusion codec", codec.parameters(), loss_of_next_batch, steps=steps, peak_rate=4e-3)
    codec.eval()
    codec.register_to_config(scaling_factor=float(1 / _encode(codec, images).std()))
    return loss


@torch.no_grad()
def _encode(codec: AutoencoderKL, images: Tensor) -> Tensor:
    """Latents (n, 4, size / 8, size / 8) of images (n, 3, size, size), not scaled."""
    return torch.cat([codec.encode(chunk).latent_dist.mean for chunk in torch.split(images, 64)])


def _train_denoiser(pipeline: StableDiffusionPipeline, latents: Tensor, prompts: Sequence[str], steps: int) -> float:
    """Learn denoiser and text encoder together, on scaled latents (n, 4, 8, 8) and the prompt of each."""
    noise_schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    ids, no_prompt = _token_ids(pipeline.tokenizer, prompts), _token_ids(pipeline.tokenizer, [""])[0]
    denoiser, text_encoder = pipeline.unet.train(), pipeline.text_encoder.train()

    def loss_of_next_batch() -> Tensor:
        chosen = torch.randint(0, len(latents), (DENOISER_BATCH,))
        clean, noise = latents[chosen], torch.randn(DENOISER_BATCH, *latents.shape[1:])
        times = torch.randint(0, TIMESTEPS, (DENOISER_BATCH,))
        dropped = torch.rand(DENOISER_BATCH, 1) < PROMPT_DROPOUT
        meaning = text_encoder(torch.where(dropped, no_prompt, ids[chosen]))[0]
        noisy = noise_schedule.add_noise(clean, noise, times)
        guess = denoiser(noisy, times, encoder_hidden_states=meaning).sample
        loss: Tensor = (guess - noise_schedule.get_velocity(clean, noise, times)).square().mean()
        return loss

    trained = [*denoiser.parameters(), *text_encoder.parameters()]
    loss = fit("diffusion denoiser", trained, loss_of_next_batch, steps=steps, peak_rate=2e-3)
    denoiser.eval()
    text_encoder.eval()
    return loss


def _token_ids(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> Tensor:
    """Ids (n, PROMPT_TOKENS), padded and cut as the pipeline does it."""
    encoded = tokenizer(list(prompts), padding="max_length", max_length=PROMPT_TOKENS, truncation=True)
    return torch.tensor(encoded.input_ids)


def _measure(folder: Path) -> dict[str, str]:
    drawings = [Drawing(*words) for words in product(SHAPES, COLOURS, BACKGROUNDS)]
    images = paint(folder, [drawing.caption for drawing in drawings])
    right = sum(
        dominant_colour(image, drawing.background) == drawing.colour
        for image, drawing in zip(images, drawings, strict=True)
    )
    return {"dominant colour right": f"{right} of {len(drawings)}"}


def paint(folder: Path, prompts: Sequence[str], size: int = SIZE, steps: int = 20) -> list[Image.Image]:
    """Images of a saved pipeline, the n-th prompt with seed n."""
    pipeline = AutoPipelineForText2Image.from_pretrained(folder, **SAFETENSORS_ONLY)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    painted = pipeline(
        list(prompts),
        width=size,
        height=size,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        generator=generators,
    )
    images: list[Image.Image] = painted.images
    return images

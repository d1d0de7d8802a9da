"""Builds `baton-voice`: a VITS model with a character tokenizer that sings a tone for every letter. It is not speech.

Called by the command line. Saves what `AutoModelForTextToWaveform` and `AutoTokenizer` load.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForTextToWaveform, AutoTokenizer, VitsConfig, VitsModel, VitsTokenizer
from transformers.models.vits.modeling_vits import VitsTextEncoderOutput

from gpu_worker.demo_models.robot_voice import CHARACTERS, SAMPLE_RATE, sound_of
from gpu_worker.demo_models.training import SAFETENSORS_ONLY, fit, scaled, seed_everything

SEED = 0
STEPS = 700
NOISE_SCALE = 0.1  # spread of the latents in training and afterwards; more makes the tones rough
WAVE_WEIGHT = 50.0  # the squared error of a wave of this loudness is about a hundredth of the other terms
DURATION_WEIGHT = 0.3
WINDOW, HOP = 512, 128  # samples; of the spectrogram in the loss
TEXT = (
    "the quick brown fox jumps over lazy dog hello world celery worker queue model voice speech test one two three "
    "four five six seven eight nine ten please listen to my small robot zebra kayak jazz"
)
MEASURED_TEXTS = ("hello world.", "aaaa eeee iiii oooo uuuu", "please listen to my small robot.")


@dataclass(frozen=True)
class Target:
    """What each token id should sound like: frames (vocabulary, FRAME) and how many of them (vocabulary,)."""

    frames: Tensor
    durations: Tensor

    def wave(self, ids: Tensor) -> Tensor:
        """The samples of the token ids (n,)."""
        return self.frames[ids.repeat_interleave(self.durations[ids])].flatten()


def build(folder: Path, scale: float) -> dict[str, str]:
    """Train, save into `folder`, load it again as the product does, and measure."""
    seed_everything(SEED)
    rng = Random(SEED)
    tokenizer = _tokenizer()
    target = _target(tokenizer)
    model = VitsModel(_config(len(tokenizer)))
    _without_dropout(model)
    model.train()

    def loss_of_next_batch() -> Tensor:
        ids = torch.tensor(tokenizer(_text(rng)).input_ids)
        return _loss(model, ids, target)

    loss = fit("voice", model.parameters(), loss_of_next_batch, steps=scaled(STEPS, scale), peak_rate=3e-3, clip=5.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"loss": f"{loss:.3f}", "correlation with the target waves": f"{_correlation(folder, target):.3f}"}


def _tokenizer() -> VitsTokenizer:
    characters = ["<pad>", *CHARACTERS, "<unk>"]
    with TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.json"
        vocabulary.write_text(json.dumps({character: index for index, character in enumerate(characters)}))
        return VitsTokenizer(
            str(vocabulary), language="eng", phonemize=False, is_uroman=False, normalize=True, add_blank=True
        )


def _config(vocabulary: int) -> VitsConfig:
    return VitsConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=64,
        flow_size=32,
        spectrogram_bins=129,
        upsample_initial_channel=96,
        upsample_rates=(8, 8, 2, 2),
        upsample_kernel_sizes=(16, 16, 4, 4),
        resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3),),
        duration_predictor_filter_channels=32,
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=2,
        posterior_encoder_num_wavenet_layers=2,
        use_stochastic_duration_prediction=False,
        noise_scale=NOISE_SCALE,
        layerdrop=0.0,
        sampling_rate=SAMPLE_RATE,
    )


def _without_dropout(model: nn.Module) -> None:
    """The waves are learnt by heart; dropout would only blur them."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _target(tokenizer: VitsTokenizer) -> Target:
    silence = sound_of(" ").frame
    frames, durations = np.tile(silence, (len(tokenizer), 1)), np.ones(len(tokenizer), np.int64)
    for token, index in tokenizer.get_vocab().items():
        if token in CHARACTERS:
            sound = sound_of(token)
            frames[index], durations[index] = sound.frame, sound.frames
    return Target(torch.from_numpy(frames), torch.from_numpy(durations))


def _text(rng: Random) -> str:
    if rng.random() < 0.5:
        return " ".join(rng.choices(TEXT.split(), k=rng.randint(2, 4)))
    return "".join(rng.choices(CHARACTERS, k=rng.randint(8, 20))).strip() or "a"


def _loss(model: VitsModel, ids: Tensor, target: Target) -> Tensor:
    """Wave, spectrum and duration errors of one text of token ids (n,).

    The model's own alignment search is left out: the durations are known.
    """
    mask = torch.ones(1, len(ids), 1)
    prior = model.text_encoder(
        input_ids=ids[None], padding_mask=mask, attention_mask=mask[..., 0].long(), return_dict=True
    )
    log_durations = model.duration_predictor(prior.last_hidden_state.transpose(1, 2), mask.transpose(1, 2)).flatten()
    # Half a frame less: generation rounds up, and a guess a little too long would add a frame.
    duration_error = (log_durations - torch.log(target.durations[ids] - 0.5)).square().mean()
    wave, wanted = _wave(model, prior, target.durations[ids]), target.wave(ids)
    wave_error = (wave - wanted).square().mean()
    spectrum_error = (_spectrum(wave) - _spectrum(wanted)).abs().mean()
    loss: Tensor = WAVE_WEIGHT * wave_error + spectrum_error + DURATION_WEIGHT * duration_error
    return loss


def _wave(model: VitsModel, prior: VitsTextEncoderOutput, durations: Tensor) -> Tensor:
    """The samples of a text whose n-th token lasts durations[n] frames, as generation makes them."""
    letters = torch.arange(len(durations)).repeat_interleave(durations)
    means = prior.prior_means[:, letters].transpose(1, 2)
    spread = prior.prior_log_variances[:, letters].transpose(1, 2).exp()
    noisy = means + torch.randn_like(means) * spread * NOISE_SCALE
    latents = model.flow(noisy, torch.ones(1, 1, len(letters)), None, reverse=True)
    wave: Tensor = model.decoder(latents, None).flatten()
    return wave


def _spectrum(wave: Tensor) -> Tensor:
    spectrum: Tensor = torch.stft(wave, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True).abs()
    return spectrum


def _correlation(folder: Path, target: Target) -> float:
    """Mean correlation of spoken and wanted samples, over what both have if the lengths differ."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    scores = []
    for text, spoken in zip(MEASURED_TEXTS, speak(folder, MEASURED_TEXTS), strict=True):
        wanted = target.wave(torch.tensor(tokenizer(text).input_ids))
        common = min(len(spoken), len(wanted))
        scores.append(float(torch.corrcoef(torch.stack([spoken[:common], wanted[:common]]))[0, 1]))
    return sum(scores) / len(scores)


def speak(folder: Path, texts: Sequence[str]) -> list[Tensor]:
    """The waves of a saved model, each (samples,) from -1 to 1 at SAMPLE_RATE."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTextToWaveform.from_pretrained(folder, **SAFETENSORS_ONLY).eval()
    torch.manual_seed(SEED)
    with torch.inference_mode():
        return [model(**tokenizer(text, return_tensors="pt")).waveform[0] for text in texts]

"""The sound of every letter of the robot voice: what `voice` teaches its model.

Knows numpy only. The pitch is 125 Hz, two periods in a frame of 256 samples, so every frame of a letter is the same
256 samples and a small decoder can learn them by heart. Formants (Hz) are rough values from phonetics tables.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
FRAME = 256  # samples
PITCH = 125  # Hz
LOUDNESS = 0.35  # peak of a vowel; full scale is 1
CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789'-,.?!"

VOWELS = {
    "a": (800, 1200),
    "e": (500, 1900),
    "i": (300, 2300),
    "o": (500, 900),
    "u": (320, 800),
    "y": (300, 2000),
}
VOICED = {
    "b": (200, 900),
    "d": (300, 1700),
    "g": (250, 1400),
    "l": (360, 1300),
    "m": (250, 1000),
    "n": (250, 1500),
    "r": (450, 1300),
    "w": (300, 700),
    "v": (220, 1100),
    "j": (280, 2100),
    "z": (250, 3000),
    **{str(digit): (300 + 60 * digit, 1000 + 150 * digit) for digit in range(10)},
}
HISSES = {  # bands of noise, Hz
    "s": (4500, 7000),
    "f": (2500, 6500),
    "h": (1000, 2500),
    "c": (3000, 6000),
    "k": (1500, 3000),
    "p": (800, 1800),
    "t": (3000, 5000),
    "x": (2500, 6000),
    "q": (1200, 2200),
}


@dataclass(frozen=True)
class Sound:
    """One frame of a character, FRAME float32 samples, and for how many frames it is held."""

    frame: NDArray[np.float32]
    frames: int


def sound_of(character: str) -> Sound:
    if character in VOWELS:
        return Sound(_voice(VOWELS[character], loudness=1.0), 8)
    if character in VOICED:
        return Sound(_voice(VOICED[character], loudness=0.6), 5)
    if character in HISSES:
        return Sound(_hiss(HISSES[character], seed=ord(character)), 5)
    return Sound(np.zeros(FRAME, np.float32), 10 if character in ".,?!" else 6)


def _voice(formants: tuple[int, int], loudness: float) -> NDArray[np.float32]:
    """Harmonics of the pitch, loud near the formants."""
    time = np.arange(FRAME) / SAMPLE_RATE
    wave = np.zeros(FRAME)
    for harmonic in range(1, 33):
        frequency = PITCH * harmonic
        wave += _formant_gain(frequency, formants) * np.cos(2 * np.pi * frequency * time + 0.3 * harmonic)
    return _at_peak(wave, LOUDNESS * loudness)


def _formant_gain(frequency: float, formants: tuple[int, int]) -> float:
    bells = ((formants[0], 1.0, 150), (formants[1], 0.6, 220), (2800, 0.15, 300))  # centre Hz, gain, width Hz
    return 0.02 + sum(gain * math.exp(-(((frequency - centre) / width) ** 2)) for centre, gain, width in bells)


def _hiss(band: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Every frequency of the band that fits a frame a whole number of times, in random phase."""
    time, spacing = np.arange(FRAME) / SAMPLE_RATE, SAMPLE_RATE / FRAME
    phases = np.random.default_rng(seed)
    wave = np.zeros(FRAME)
    for step in range(int(band[0] / spacing), int(band[1] / spacing)):
        wave += np.cos(2 * np.pi * step * spacing * time + phases.uniform(0, 2 * np.pi))
    return _at_peak(wave, 0.25 * LOUDNESS)


def _at_peak(wave: NDArray[np.float64], peak: float) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (peak * wave / np.abs(wave).max()).astype(np.float32)
    return scaled

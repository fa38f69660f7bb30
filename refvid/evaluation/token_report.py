"""What an evaluation of tokenizers found, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from refvid.evaluation.measures import Scores, mean_score

REFERENCE = "reference"
REFERENCE_WEBP = "reference, WebP"
REFERENCE_16_WEBP = "reference, 16 pixels, WebP"
PLAIN = "twin"
VECTORS = "vectors"
HOLD = "held frames"

_NEAR = 16
_PIXELS = 256 * 256
_LEAST_GAIN = 1.5
"""Over the twin, mean of all clips, frames 1 to 16 [dB]."""

_LEAST_SHARE = 8 / 9
"""Of the clips on which it is better."""

_PUBLISHED = (
    ("VidTok FSQ causal, 4x8x8, 262144 codes", "29.82", "0.867", "0.106"),
    ("VidTok FSQ causal, 4x8x8, 4096 codes", "28.36", "0.832", "0.133"),
    ("VidTok FSQ causal, 4x16x16, 262144 codes", "25.38", "0.738", "0.206"),
)
"""As published, on 30 other clips (MCL-JCV, 17 frames of 256x256): PSNR, SSIM, LPIPS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResult:
    """One clip, coded in one way."""

    system: str
    clip: str
    frames: int
    """Of the clip."""

    tokens: int
    token_bits: float
    coded: int
    """Frames that the tokens stand for."""

    reference_bits: int
    psnr: tuple[float, ...]
    """Of every frame [dB], frame 0 first."""

    scores: Scores
    """Of frames 1 to 16."""

    motion: float
    """Share of the motion since frame 0 that is kept, frames 1 to 16."""

    def near(self) -> float:
        """Mean PSNR of frames 1 to 16 [dB]."""
        return fmean(self.psnr[1 : _NEAR + 1])

    def bits_of(self, frames: int) -> float:
        """Bits of the first so many frames, with the reference."""
        wanted = frames - 1 if self.reference_bits else frames
        return self.reference_bits + self.token_bits * wanted / self.coded


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReport:
    """All results, and what is made of them."""

    models: dict[str, str]
    hashes: dict[str, str]
    results: tuple[TokenResult, ...]

    @property
    def clips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(result.clip for result in self.results))

    def of(self, system: str) -> list[TokenResult]:
        """Results of a system, clip by clip."""
        return [result for result in self.results if result.system == system]

    def gains(self) -> dict[str, float]:
        """Of the reference over the twin at equal token bits, frames 1 to 16 [dB], by clip."""
        pairs = zip(self.of(REFERENCE), self.of(PLAIN), strict=True)
        return {ours.clip: ours.near() - twin.near() for ours, twin in pairs}

    def is_met(self) -> bool:
        """Whether the bar is."""
        gains = list(self.gains().values())
        better = sum(gain > 0 for gain in gains)
        return fmean(gains) >= _LEAST_GAIN and better >= _LEAST_SHARE * len(gains)

    def winning_length(self, clip: str) -> int | None:
        """Frames from which on 16-pixel tokens and a stored reference beat the twin.

        That is: they take no more bits, the reference's counted, and the mean PSNR of all frames
        so far is higher. None where that is never so.
        """
        [ours] = [one for one in self.of(REFERENCE_16_WEBP) if one.clip == clip]
        [twin] = [one for one in self.of(PLAIN) if one.clip == clip]
        length = min(len(ours.psnr), len(twin.psnr))
        wins = [
            ours.bits_of(count) <= twin.bits_of(count)
            and fmean(ours.psnr[1:count]) > fmean(twin.psnr[1:count])
            for count in range(2, length + 1)
        ]
        if not wins or not wins[-1]:
            return None
        return length - next(n for n, won in enumerate((*wins[::-1], False)) if not won) + 1

    def to_json(self) -> dict[str, Any]:
        return {
            "models": self.models,
            "hashes": self.hashes,
            "gain_over_twin": self.gains(),
            "bar_is_met": self.is_met(),
            "winning_length": {clip: self.winning_length(clip) for clip in self.clips},
            "results": [asdict(result) for result in self.results],
        }

    def to_markdown(self) -> str:
        return "\n".join(
            [
                "# Tokens at 256x256",
                "",
                self._verdict(),
                "",
                *self._systems(),
                "",
                *self._by_clip(),
                "",
                *self._lengths(),
                "",
                *self._motion(),
                "",
                *_published(),
            ]
        )

    def _verdict(self) -> str:
        gains = list(self.gains().values())
        better = sum(gain > 0 for gain in gains)
        return (
            f"With reference over the twin without, at equal token bits: {fmean(gains):+.2f} dB at "
            f"frames 1-16, better on {better} of {len(gains)} clips. The bar "
            f"({_LEAST_GAIN:+.1f} dB, 8 of 9) is {'met' if self.is_met() else 'not met'}."
        )

    def _systems(self) -> list[str]:
        names = list(dict.fromkeys(result.system for result in self.results))
        rows = [(self._label(name), *_figures(self.of(name))) for name in names]
        return table(
            ("frames 1-16", "bits/pixel", "with reference", "PSNR", "SSIM", "LPIPS", "ST-LPIPS"),
            rows,
        )

    def _label(self, system: str) -> str:
        labels: dict[str, Callable[[], str]] = {
            REFERENCE: lambda: f"{self.models[REFERENCE]}, reference exact (PNG)",
            REFERENCE_WEBP: lambda: f"{self.models[REFERENCE]}, reference as WebP",
            REFERENCE_16_WEBP: lambda: f"{self.models[REFERENCE_16_WEBP]}, reference as WebP",
            PLAIN: lambda: f"{self.models[PLAIN]}, no reference",
            VECTORS: lambda: self.models[VECTORS],
            HOLD: lambda: "key frames held, as many tokens",
        }
        return labels[system]() if system in labels else f"{system}, bits of the second row"

    def _by_clip(self) -> list[str]:
        twins = {one.clip: one.near() for one in self.of(PLAIN)}
        rows = [
            (clip, f"{twins[clip] + gain:.2f}", f"{twins[clip]:.2f}", f"{gain:+.2f}")
            for clip, gain in self.gains().items()
        ]
        return table(("clip, frames 1-16", "with reference", "twin", "gain [dB]"), rows)

    def _lengths(self) -> list[str]:
        rows = []
        for clip in self.clips:
            length = self.winning_length(clip)
            rows.append((clip, "never within the clip" if length is None else f"{length} frames"))
        name = self.models[REFERENCE_16_WEBP]
        return table((f"{name} beats the twin at no more bits, reference counted", "from"), rows)

    def _motion(self) -> list[str]:
        rows = []
        for ours, held in zip(self.of(VECTORS), self.of(HOLD), strict=True):
            rows.append(
                (
                    ours.clip, f"{ours.tokens}", f"{held.tokens}", f"{ours.motion:.2f}",
                    f"{held.motion:.2f}", f"{ours.near():.2f}", f"{held.near():.2f}",
                )
            )  # fmt: skip
        header = (
            "clip", "tokens", "held", "motion kept", "held", "PSNR", "held",
        )  # fmt: skip
        return table(header, rows)


def _figures(results: Sequence[TokenResult]) -> tuple[str, ...]:
    scores = [result.scores for result in results]
    alone = fmean(result.token_bits / (result.coded * _PIXELS) for result in results)
    counted = fmean(result.bits_of(_NEAR + 1) / ((_NEAR + 1) * _PIXELS) for result in results)
    return (
        f"{alone:.4f}",
        f"{counted:.4f}",
        *(_number(mean_score(scores, name), digits) for name, digits in _MEASURES),
    )


_MEASURES = (("psnr", 2), ("ssim", 3), ("lpips", 3), ("st_lpips", 3))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _published() -> list[str]:
    header = ("published, of other clips: for the scale only", "PSNR", "SSIM", "LPIPS")
    return table(header, _PUBLISHED)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, figures to the right."""
    line = "| " + " | ".join(header) + " |"
    rule = "| --- |" + " ---: |" * (len(header) - 1)
    return [line, rule, *("| " + " | ".join(row) + " |" for row in rows)]

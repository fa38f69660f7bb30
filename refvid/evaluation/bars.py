"""How good is good enough: one bar for each figure of the summary.

A bar is what a release must reach, on clips that nobody trained on. They are no limits of the
measurement: `refvid evaluate` says which are met, and exits as always. Gains are in PSNR over the
degraded input, in dB, mean over frames, degradations and clips. Measures other than PSNR must be
better than the input's, and where an earlier report is given, better than what that says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One figure of the summary, and what it should reach."""

    key: str
    """Its name in the summary."""

    case: str
    what: str
    unit: str = "dB"
    least: float | None = None
    """None: nothing to reach."""

    share: float | None = None
    """A measure, for which the input or an earlier report sets the bar: at most this share of it,
    or where higher is better at least."""

    higher_is_better: bool = True

    def limit(self, from_input: float | None, before: float | None) -> float | None:
        """What is to be reached.

        Args:
            from_input: The same measure of the degraded input.
            before: The same figure of an earlier report.
        """
        if self.share is None:
            return self.least
        return from_input if before is None else self.share * before

    def is_met(self, value: float, limit: float) -> bool:
        return value >= limit if self.higher_is_better else value <= limit

    def show(self, value: float | None) -> str:
        """A figure in the unit of this bar."""
        if value is None:
            return ""
        if self.unit == "dB":
            return f"{value:+.2f} dB"
        return f"{value:.0f} %" if self.unit == "%" else f"{value:.4f}"

    def show_limit(self, limit: float | None) -> str:
        word = "at least" if self.higher_is_better else "at most"
        return "" if limit is None else f"{word} {self.show(limit)}"


BARS = (
    Bar(key="exact", case="exact", what="gain, frames 1-16", least=2.0),
    Bar(key="exact_worst", case="exact", what="the same, worst clip"),
    Bar(key="far", case="far", what="gain, frames 17-48", least=1.1),
    Bar(key="far_worst", case="far", what="the same, worst clip", least=0.0),
    Bar(key="photo", case="photo", what="gain, frames 1-16"),
    Bar(key="photo_share", case="photo", what="share of the exact one's", unit="%", least=80.0),
    # A hundredth is rounding.
    Bar(key="several_worst", case="several", what="worst frame, over the better one alone",
        least=-0.01),
    Bar(key="several_middle", case="several", what="middle third, over the better one alone",
        least=0.05),
    Bar(key="none", case="none", what="gain, frames 1-16", least=0.5),
    Bar(key="none_worst", case="none", what="the same, worst clip", least=0.0),
    Bar(key="unrelated", case="unrelated", what="over no reference", least=-0.02),
    Bar(key="soft", case="soft", what="over no reference", least=-0.05),
    Bar(key="harmless_worst", case="harmless", what="worst change of any clip", least=-0.1),
    Bar(key="harmless_itself", case="harmless", what="a clean clip to itself, lowest", least=46.0),
    Bar(key="ssim", case="exact", what="SSIM", unit="", share=1.0),
    Bar(key="ssimulacra2", case="exact", what="SSIMULACRA2", unit="", share=1.0),
    Bar(key="lpips", case="exact", what="LPIPS", unit="", share=1.0, higher_is_better=False),
    Bar(key="st_lpips", case="exact", what="ST-LPIPS", unit="", share=0.8, higher_is_better=False),
    Bar(key="flicker", case="exact", what="flicker", unit="", share=1.0, higher_is_better=False),
)  # fmt: skip
"""In the order in which they are shown."""

STABLE_DB = 60.0
"""Where harm is judged, PSNR above this counts as this [dB]: less than one value in ten is off by
one then."""

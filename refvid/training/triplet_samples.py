"""Draws samples from triplets: the stylised frames are known, and are the target."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refvid.errors import InputError
from refvid.media.fit import fit_image
from refvid.media.pixel_conversion import to_uint8
from refvid.training.batch import Batch
from refvid.training.sample_options import SampleOptions, StyleSampleOptions
from refvid.training.style_samples import (
    Paint,
    StyleSample,
    draw_style_size,
    fit_style,
    make_style_batch,
)
from refvid.training.synthetic import moving_photo
from refvid.training.triplets import Triplet, read_pair, read_style

Pixels = NDArray[np.uint8]

_USUAL_FRAMES = 13
"""Length for which `moving_photo` counts its speed."""


class TripletDrawer:
    """Random batches of triplets, each determined by the seed and its number alone.

    Videos give frames that follow each other. Pictures give frames by one camera path over both,
    so that the target moves with its content. All styles weigh the same, however many triplets
    have them.

    Args:
        triplets: From `check_triplets`.
        options: `clips`, `frames` and `crop` count.
        style_options: Scales of content and style; a style is always seen whole.
        paint: Does what is not learned.
        seed: Of all draws.
    """

    def __init__(
        self,
        triplets: Sequence[Triplet],
        options: SampleOptions,
        style_options: StyleSampleOptions,
        paint: Paint,
        seed: int = 0,
    ) -> None:
        # The target is known to have the style of the whole picture, not that of a part of it.
        self.style_options = replace(style_options, style_window=(1.0, 1.0))
        self.options, self.paint, self.seed = options, paint, seed
        by_style: dict[str, list[Triplet]] = defaultdict(list)
        for triplet in triplets:
            long_enough = triplet.frames == 1 or triplet.frames >= options.frames
            if min(triplet.size) >= options.crop and long_enough:
                by_style[triplet.style_digest].append(triplet)
        self.groups = list(by_style.values())

    def draw(self, index: int) -> Batch:
        """Draw the batch of that number.

        Raises:
            InputError: A file that could be read is gone, or changed.
        """
        rng = random.Random(f"{self.seed}:triplets:{index}")
        chosen = [rng.choice(rng.choice(self.groups)) for _ in range(self.options.clips)]
        styles = [read_style(triplet) for triplet in chosen]
        size = draw_style_size(styles[0].shape, self.options.crop, self.style_options, rng)
        lead = rng.randint(0, self.style_options.lead)
        frames = self.options.frames
        samples = []
        for triplet, style in zip(chosen, styles, strict=True):
            content, stylised = self._pair(triplet, lead, rng)
            if rng.random() < self.style_options.flip:
                content, stylised = content[:, :, ::-1], stylised[:, :, ::-1]
            fitted = fit_style(style, size, self.style_options, rng)
            samples.append(StyleSample(content, fitted, stylised[-frames:]))
        return make_style_batch(samples, self.paint, seed=rng.randrange(2**31), frames=frames)

    def _pair(self, triplet: Triplet, lead: int, rng: random.Random) -> tuple[Pixels, Pixels]:
        """Content and target, (up to lead + T, crop, crop, 3) each."""
        options, (height, width) = self.options, triplet.size
        count = min(options.frames + lead, triplet.frames)
        start = rng.randrange(triplet.frames - count + 1)
        window = round(options.crop / rng.uniform(*self.style_options.content_scale))
        window = min(window, height, width)
        top, left = rng.randrange(height - window + 1), rng.randrange(width - window + 1)
        path = rng.randrange(2**31)
        pairs = []
        for content, stylised in read_pair(triplet, start, count):
            # A stylised result may have another size.
            same = to_uint8(fit_image(stylised, content.shape[1], content.shape[0], "stretch"))
            pairs.append((content, same))
        if len(pairs) < count or pairs[0][0].shape[:2] != triplet.size:
            raise InputError(f"{triplet.content} is not what it was when training began.")
        if triplet.frames == 1:
            content, target = pairs[0]
            length = options.frames + lead
            return (
                self._along_path(content, length, path, window),
                self._along_path(target, length, path, window),
            )
        spot = (slice(top, top + window), slice(left, left + window))
        side = options.crop
        return (
            np.stack([to_uint8(fit_image(c[spot], side, side, "stretch")) for c, _ in pairs]),
            np.stack([to_uint8(fit_image(s[spot], side, side, "stretch")) for _, s in pairs]),
        )

    def _along_path(self, picture: Pixels, length: int, path: int, window: int) -> Pixels:
        """Frames of a camera path that its number determines."""
        options, rng = self.options, random.Random(path)
        height, width = picture.shape[:2]
        scale = max(options.crop / window, options.crop / min(height, width))
        shrunk = Image.fromarray(picture).resize(
            (round(width * scale), round(height * scale)), Image.Resampling.LANCZOS
        )
        speed = rng.uniform(0.2, 1.6) * length / _USUAL_FRAMES
        return moving_photo(
            shrunk, size=(options.crop, options.crop), frames=length, rng=rng, speed=speed
        )

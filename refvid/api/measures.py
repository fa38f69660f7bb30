"""What files are, how they differ, and how good they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refvid.api.keywords import File, Position, Rate, given_path, split_words, to_path
from refvid.media.folders import is_file
from refvid.progress import ProgressCallback, ignore_progress
from refvid.time_words import parse_range, parse_rate

if TYPE_CHECKING:
    from refvid.comparison.compare import CompareReport
    from refvid.latents.latents import Latents
    from refvid.media.video_info import VideoInfo
    from refvid.metrics.measure import MetricsReport
    from refvid.tokens.read import TokenFile


def compare(
    *videos: File,
    output: File | None = None,
    reference: File | None = None,
    labels: str | Iterable[str] = (),
    metrics: str | Iterable[str] = "psnr,ssim",
    montage: File | None = None,
    sheet: File | None = None,
    blind: bool = False,
    seed: int | None = None,
    start: Position | None = None,
    end: Position | None = None,
    frames: int | None = None,
    preview: Position | None = None,
    preview_height: int = 720,
    preview_codec: Literal["h264", "vp9"] = "h264",
    rate: Rate | None = None,
    overwrite: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> CompareReport:
    """Put videos on each other in a page: slider, curves, and where they differ most.

    Args:
        videos: Two or more videos of one scene, or folders of them with equal names.
        output: The page; None is beside the first, unless only a montage or sheet is asked for.
        reference: The clean original, to measure against; None is the first video.
        labels: Names for the videos; none are taken from their paths.
        metrics: Measures for curves and table, as for `measure`, or none.
        montage: Also a video with all of them side by side and the sound of the first.
        sheet: Also a picture with the places that differ most, enlarged.
        blind: Hide names, shuffle sides, and ask which looks better.
        seed: Shuffle the same way again; None does it anew each time.
        preview_height: Largest height of a video in the page [pixels].
        preview_codec: vp9 is for browsers without H.264.
        start: See `enhance`, as for the others.

    Returns:
        What was written, and the curves and places behind it; `to_json` gives them in plain types.

    Raises:
        InputError: A video is missing or damaged, or they do not show the same moments.
        OutputError: A result exists, cannot be written, or is too large.
        OptionError: Options are impossible, or do not fit each other or the videos.
    """
    from refvid.comparison.clips import check_compare
    from refvid.comparison.options import CompareOptions
    from refvid.media.file_name import fitting_name
    from refvid.metrics.options import parse_measures

    paths = tuple(Path(video) for video in videos)
    if paths and output is None and montage is None and sheet is None:
        output = paths[0].with_name(fitting_name(paths[0].stem, "_compare.html"))
    wanted = split_words(metrics)
    options = CompareOptions(
        sources=paths,
        page=to_path(output),
        montage=to_path(montage),
        sheet=to_path(sheet),
        reference=to_path(reference),
        labels=tuple(label.strip() for label in split_words(labels)),
        measures=() if wanted in ([], ["none"]) else parse_measures(wanted),
        blind=blind,
        seed=seed,
        range=parse_range(start, end, frames, preview),
        sequence_rate=parse_rate(rate),
        preview_height=preview_height,
        preview_codec=preview_codec,
        overwrite=overwrite,
    )
    check_compare(options)  # before torch is loaded
    from refvid.comparison import compare as work

    return work.compare(options, on_progress)


def measure(
    *distorted: File,
    reference: File,
    measures: str | Iterable[str] = "psnr,ssim",
    mask: File | None = None,
    frames: int | None = None,
    csv: File | None = None,
    plot: File | None = None,
    device: str = "auto",
    overwrite: bool = False,
    on_progress: ProgressCallback = ignore_progress,
) -> MetricsReport:
    """Measure videos against a clean one, frame by frame; the command is `refvid metrics`.

    Args:
        distorted: Videos, images or image sequences.
        reference: The clean video: of the same size, with the same frames.
        measures: Out of `refvid.metrics.catalog.MEASURES`, or all.
        mask: Measure where this image or video is white.
        frames: At most so many.
        csv: A file for the measures of every frame.
        plot: A file for curves over time: .png or .svg.
        device: Where networks run.
        overwrite: Replace existing files.
        on_progress: See `enhance`.

    Returns:
        For each of `distorted` the values of every frame, in the units that the catalogue tells,
        and their means.

    Raises:
        InputError: A file cannot be read, or frames cannot be aligned: names the first mismatch.
        OutputError: A file exists, or cannot be written.
        OptionError: There is no such measure, its packages are missing, or it has no mask.
        CheckpointError: The weights of a measure are not to be had.
        DeviceError: There is no such device.
    """
    from refvid.metrics.options import MetricsOptions, available_measures, parse_measures

    wanted = split_words(measures)
    all_there_are = [word.strip().lower() for word in wanted] == ["all"]
    options = MetricsOptions(
        distorted=tuple(Path(path) for path in distorted),
        reference=Path(reference),
        measures=(
            available_measures(masked=mask is not None) if all_there_are else parse_measures(wanted)
        ),
        only_available=all_there_are,
        mask=to_path(mask),
        frames=frames,
        device=device,
    )
    from refvid.metrics.files import check_files, write_csv, write_plot

    table, curves = to_path(csv), to_path(plot)
    check_files(options, csv_file=table, plot=curves, overwrite=overwrite)
    from refvid.metrics.measure import measure as work

    report = work(options, on_progress)
    if table is not None:
        write_csv(report, table, overwrite=overwrite)
    if curves is not None:
        write_plot(report, curves, overwrite=overwrite)
    return report


def info(file: File) -> VideoInfo | Latents | TokenFile:
    """Describe a video, a picture, an image sequence, or a file of latents or tokens.

    Returns:
        Its facts; `to_json` gives them in plain types, as `refvid info --json` prints them.

    Raises:
        InputError: Missing, damaged, without a video track, or tensors that are no latents.
    """
    from refvid.latents.containers import sniff_container
    from refvid.media.video_info import read_video_info

    path = given_path(file, "file")
    if is_file(path) and sniff_container(path) is not None:
        from refvid.tokens.read import is_token_file, open_tokens

        if is_token_file(path):
            return open_tokens(path)
        # Videos and pictures need no torch.
        from refvid.latents.recognise import recognise_latents

        return recognise_latents(path)
    return read_video_info(path)

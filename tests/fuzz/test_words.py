"""Whatever the words are: an exact value or an OptionError, and no two results in one file."""

import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from refvid import time_words
from refvid import words as opt
from refvid.errors import InputError, OptionError
from refvid.media.inputs import Source, expand_inputs
from refvid.media.naming import plan_jobs

# A busy machine is no failure.
unhurried = settings(deadline=None)

STEMS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='/\\:*?"<>|'),
    min_size=1,
    max_size=20,
).filter(lambda stem: stem.strip(". ") == stem)


@unhurried
@given(st.text(max_size=12))
def test_any_position(text):
    try:
        value = time_words.parse_position(text, "--start")
    except OptionError:
        return
    assert isinstance(value, int | Fraction)
    assert value >= 0


@unhurried
@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_clock_is_exact(hours, minutes, seconds, milliseconds):
    text = f"{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}"
    expected = hours * 3600 + minutes * 60 + seconds + Fraction(milliseconds, 1000)
    assert time_words.parse_position(text, "--start") == expected


@unhurried
@given(st.text(max_size=12))
def test_any_rate_and_tile(text):
    for parse in (time_words.parse_rate, opt.parse_tile):
        try:
            parse(text)
        except OptionError:
            continue


@unhurried
@given(st.text(max_size=20).filter(lambda text: "\0" not in text))
def test_any_reference(text):
    try:
        opt.parse_reference(text)
    except (OptionError, InputError):
        return


@unhurried
@given(st.text(max_size=20), st.sampled_from(["", "pyproject.toml:", "pyproject.toml@"]))
def test_any_style_and_keyframe(text, before):
    for parse in (opt.parse_style, opt.parse_keyframe):
        try:
            source = parse(before + text)
        except (OptionError, InputError):
            continue
        assert source.image.is_file()
        assert str(before + text).startswith(str(source.image))


@unhurried
@given(
    st.lists(STEMS, min_size=1, max_size=6, unique=True),
    st.sampled_from([None, "out/", "{stem}.mp4"]),
)
def test_outputs_differ_from_each_other_and_from_inputs(stems, output):
    sources = [Source(path=Path("in") / f"{stem}.mp4") for stem in stems]
    try:
        jobs = plan_jobs(sources, output, suffix_of=lambda _: ".mp4")
    except OptionError:
        return
    results = [job.output for job in jobs]
    assert len(set(results)) == len(stems)
    assert not set(results) & {source.path for source in sources}


@unhurried
@given(st.text(max_size=20))
def test_any_template(template):
    try:
        plan_jobs([Source(path=Path("in/a.mp4"))], template + "{stem}", suffix_of=lambda _: ".mp4")
    except OptionError:
        return


@unhurried
@given(st.sets(STEMS, min_size=1, max_size=5))
def test_every_file_of_a_folder_is_found_once(stems):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{stem}.mp4" for stem in stems]
        for path in paths:
            path.touch()
        found = expand_inputs([folder, *map(str, paths)])
        assert len(found) == len(list(Path(folder).iterdir()))

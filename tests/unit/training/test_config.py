"""Config file, command line and defaults become one config."""

from pathlib import Path

import pytest

from refvid.errors import OptionError
from refvid.training.config import TrainConfig
from refvid.training.read_config import build_config, save_config

TOML = """
backbone = "wan2.1"
output = "run"
[optimizer]
rate = 3e-4
[data]
exclude = ["a.mp4"]
[[stages]]
frames = 5
[[stages]]
frames = 9
share = 3
"""
YAML = """
backbone: wan2.1
output: run
optimizer: {rate: 3.0e-4}
data: {exclude: [a.mp4]}
stages:
  - frames: 5
  - {frames: 9, share: 3}
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    one = build_config(file=write(tmp_path / "a.toml", TOML))
    assert one == build_config(file=write(tmp_path / "a.yaml", YAML))
    assert one.optimizer.rate == 3e-4
    assert [(stage.frames, stage.share) for stage in one.stages] == [(5, 1.0), (9, 3.0)]
    assert one.data.exclude == ("a.mp4",)
    assert one.samples.token_dropout == 0.7, "what the file leaves open is the backbone's"


def test_words_win_over_flags_over_file(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", TOML)
    config = build_config(
        file=file,
        flags={"seed": 3, "run": {"steps": 10}},
        words=["run.steps=20", "stages=[{frames = 1}]", "loss.perceptual=none", "data.exclude=[]"],
    )
    assert (config.seed, config.run.steps) == (3, 20)
    assert [stage.frames for stage in config.stages] == [1]
    assert config.loss.perceptual == "none"
    assert config.data.exclude == ()
    assert build_config(file=file, words=["run.steps=", "run.minutes=5"]).run.steps is None


def test_minutes_replace_a_default_in_steps() -> None:
    flags = {"output": "run", "backbone": "wan2.1", "run": {"minutes": 5}}
    assert build_config(flags=flags).run.steps is None
    flags["run"] = {"minutes": 5, "steps": 7}
    assert build_config(flags=flags).run.steps == 7


def test_saved_configs_read_back(tmp_path: Path) -> None:
    config = build_config(
        file=write(tmp_path / "a.toml", TOML), words=["network.base_channels=4", "data.videos=v"]
    )
    save_config(config, tmp_path / "run" / "config.yaml")
    assert build_config(saved=tmp_path / "run" / "config.yaml") == config


def test_mini_keeps_the_recipe_of_the_bundled_weights() -> None:
    config = build_config(flags={"output": "run"})
    assert config.backbone == "mini"
    assert (config.loss.pixels, config.loss.perceptual) == ("log", "none")
    assert (config.samples.unrelated, config.samples.missing) == (0.10, 0.3)
    assert config.optimizer.rate == 1e-3
    assert len(config.stages) == 1


def test_the_paper_is_the_default_of_the_large_backbones() -> None:
    config = build_config(flags={"output": "run", "backbone": "wan2.1"})
    assert isinstance(config, TrainConfig)
    assert [stage.frames for stage in config.stages] == [5, 17]
    assert (config.optimizer.rate, config.optimizer.pretrained_share) == (2e-4, 0.1)
    assert (config.run.steps, config.optimizer.warmup_steps) == (100_000, 1000)
    assert config.data.variants == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer.rat=1"], "did you mean 'rate'"),
        (["optimizer.rate=fast"], "optimizer.rate"),
        (["run.steps=0"], "run: steps is more than 0"),
        (["samples.crop=50"], "samples: crop and reference_crop"),
        (["samples.missing=2"], "missing is between 0 and 1"),
        (["stages=[]"], "at least one"),
        (["stages=[{frame = 1}]"], "did you mean 'frames'"),
        (["run.device=tpu"], "run.device"),
        (["backbone=huge"], "none of mini"),
        (["steps"], "key=value"),
        (["=3"], "key=value"),
    ],
    ids=str,
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_config(flags={"output": "run"}, words=words)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "x = ["), ("a.yaml", "a: [1"), ("b.yaml", "just a text"), ("c.toml", "\ufffd = 1")],
)
def test_broken_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(OptionError, match=name):
        build_config(file=write(tmp_path / name, text), flags={"output": "run"})
    with pytest.raises(OptionError, match=r"missing\.toml"):
        build_config(file=tmp_path / "missing.toml", flags={"output": "run"})


DEEP = 50_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "x = " + "[" * DEEP),
        ("a.toml", "run.steps = " + "9" * 5000),
        ("a.toml", "run.steps = 0x" + "f" * 5000),
        ("a.toml", "optimizer.rate = nan"),
        ("a.toml", "x = 2001-99-99"),
        ("a.yaml", "x: " + "[" * DEEP),
        ("a.yaml", "run: {steps: " + "9" * 5000 + "}"),
        ("a.yaml", "run: {steps: 0x" + "f" * 5000 + "}"),
        ("a.yaml", "optimizer: {rate: .nan}"),
        ("a.yaml", "optimizer: {rate: .inf}"),
        ("a.yaml", "x: 2001-99-99"),
        ("a.yaml", '!!int "x": 1'),
        ("a.yaml", 'x: !!int ""'),
        ("a.yaml", "x: !!bool maybe"),
        ("a.yaml", "x: !!timestamp soon"),
        ("a.yaml", "? [1, 2]\n: 3"),
        ("a.yaml", "a: &a [1]\nb: *a"),
        ("a.yaml", "a: &a [*a]"),
        ("a.yaml", "x: !!python/object/apply:os.getcwd []"),
        ("a.yaml", "x: " + "1" + ":1" * 30_000),
        ("a.yaml", "#" * 2**18 + "#"),
    ],
    ids=lambda text: text[:24],
)
def test_hostile_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(OptionError, match=name.replace(".", r"\.")) as caught:
        build_config(file=write(tmp_path / name, text), flags={"output": "run"})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "word",
    [
        "optimizer.rate=nan",
        "optimizer.rate='inf'",
        "run.minutes=inf",
        "optimizer.betas=[0.9, nan]",
        "run.steps=" + "9" * 5000,
        "run.steps=1" + "0" * 30,
        "x" * 10_000 + "=1",
        "a" + ".a" * DEEP + "=1",
        "stages=" + "[" * DEEP,
        "run.steps=2001-01-01",
        "seed=[1",
        "backbone=" + "x" * 20_000,
        "run.device=" + "x" * 20_000,
    ],
    ids=lambda text: text[:24],
)
def test_hostile_words_are_refused(word: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_config(flags={"output": "run"}, words=[word, word])
    assert len(str(caught.value)) < 1000


def test_only_the_restoring_model_learns_from_made_clips() -> None:
    assert build_config(flags={"output": "run"}).data.made == 170
    assert build_config(flags={"output": "run", "backbone": "wan2.1"}).data.made == 0
    with pytest.raises(OptionError, match="made is not negative"):
        build_config(flags={"output": "run"}, words=["data.made=-1"])

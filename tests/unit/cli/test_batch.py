import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from refvid.cli.batch import Batch
from refvid.cli.console import Console
from refvid.cli.flags import BatchRules
from refvid.cli.jobs import triage
from refvid.errors import InputError, OptionError, OutputError
from refvid.media.inputs import Job, check_source, expand_inputs
from refvid.media.naming import plan_jobs
from refvid.media.outputs import check_output, output_exists
from refvid.media.sequence import find_images
from refvid.rebuild.existing import Existing
from refvid.rebuild.options import KeyframeSource, Styles, StyleSource


class Report(str):
    """A word that stands for what a job gives."""

    frames, seconds, bytes_written = 1, 1.0, 0
    resumed = 0
    notes = warnings = ()
    plan = SimpleNamespace(notes=())

    def to_json(self):
        return str(self)


def run_batch(jobs, work, *, overwrite=False):
    rules = BatchRules(overwrite=overwrite)
    batch = Batch(Console(), rules, jobs, check=lambda _source: None)
    for job in batch:
        with batch.attempt(job) as outcome:
            outcome.report = work(job)
    return batch.outcomes


def mp4(_path):
    return ".mp4"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "v/b.mp4",
        "v/a.MOV",
        "v/notes.txt",
        "v/sub/c.mkv",
        "i/1.png",
        "i/2.png",
        "e/x.txt",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def expand(*words, **options):
    return [source.path.as_posix() for source in expand_inputs(words, **options)]


class TestExpand:
    def test_folder_gives_its_videos(self, tree):
        assert expand("v") == ["v/a.MOV", "v/b.mp4"]

    def test_recursive(self, tree):
        assert expand("v", recursive=True) == ["v/a.MOV", "v/b.mp4", "v/sub/c.mkv"]

    def test_folder_of_images_is_one_input(self, tree):
        assert expand("i") == ["i"]

    def test_recursive_finds_image_folders_where_there_are_no_videos(self, tree):
        for name in ("s/one/1.png", "s/two/1.png"):
            Path(name).parent.mkdir(parents=True)
            Path(name).touch()
        assert expand("s", recursive=True) == ["s/one", "s/two"]

    def test_empty_folder_stays_to_be_reported(self, tree):
        assert expand("e") == ["e"]

    @pytest.mark.parametrize("words", [["v/*.mp4", "v/b.mp4"], ["v/b.mp4", "./v/b.mp4"]])
    def test_doubles_go(self, tree, words):
        assert expand(*words) == ["v/b.mp4"]

    def test_wildcards(self, tree):
        assert expand("v/*.m*") == ["v/b.mp4"]
        assert expand("**/*.mkv") == ["v/sub/c.mkv"]
        assert expand("v/[ab].*") == ["v/a.MOV", "v/b.mp4"]

    def test_brackets_in_a_real_name(self, tree):
        Path("v/take [1].mp4").touch()
        assert expand("v/take [1].mp4") == ["v/take [1].mp4"]

    def test_wildcard_without_match_stays(self, tree):
        assert expand("v/*.webm") == ["v/*.webm"]

    def test_missing_stays(self, tree):
        assert expand("nothing.mp4") == ["nothing.mp4"]

    def test_pattern_stays(self, tree):
        assert expand("i/%d.png") == ["i/%d.png"]

    def test_results_in_other_styles_are_known_by_their_contents(self, tree):
        for name in ("b_art", "b_final", "b_art_preview", "other_art"):
            Path(f"v/{name}.mp4").touch()
        looked: list[str] = []

        def is_result(path):
            looked.append(path.stem)
            return "_art" in path.stem

        # Somebody's own version, and what lies beside no input.
        wanted = ["v/a.MOV", "v/b.mp4", "v/b_final.mp4", "v/other_art.mp4"]
        assert expand("v", is_result=is_result) == wanted
        assert "other_art" not in looked
        assert "b" not in looked
        # Those of this style, though they do not say what they are.
        wanted = ["v/a.MOV", "v/b.mp4", "v/b_final.mp4", "v/other_art.mp4"]
        assert expand("v", style="art") == wanted

    def test_folders_of_results_are_known_by_their_contents(self, tree):
        for name in ("s/one/1.png", "s/one_art/1.png", "s/pop_art/1.png"):
            Path(name).parent.mkdir(parents=True)
            Path(name).touch()
        found = expand("s", recursive=True, is_result=lambda path: path.parent.name == "one_art")
        assert found == ["s/one", "s/pop_art"]

    def test_earlier_results_are_left_out(self, tree):
        Path("v/b_refvid.mp4").touch()
        Path("v/other_refvid.mp4").touch()  # without its input beside it: somebody's file
        assert expand("v") == ["v/a.MOV", "v/b.mp4", "v/other_refvid.mp4"]
        assert expand("v/*.mp4") == ["v/b.mp4", "v/other_refvid.mp4"]
        assert expand("v/b_refvid.mp4") == ["v/b_refvid.mp4"]

    def test_previews_are_left_out(self, tree):
        Path("v/b_refvid_preview.mp4").touch()
        assert expand("v") == ["v/a.MOV", "v/b.mp4"]

    def test_hidden_files_and_folders_are_no_inputs(self, tree):
        for name in (".refvid-0123456789ab.mp4", "._a.MOV", ".b_refvid.partial-99.mp4"):
            Path("v", name).touch()
        Path("v/.trash").mkdir()
        Path("v/.trash/old.mp4").touch()
        assert expand("v", recursive=True) == ["v/a.MOV", "v/b.mp4", "v/sub/c.mkv"]
        assert expand("v/*") == [*expand("v"), "v/notes.txt"]
        Path("i/.0.png").touch()
        assert [image.number for image in find_images(Path("i"))] == [1, 2]

    def test_folder_that_may_not_be_listed_is_one_inputs_own(self, unprivileged, monkeypatch):
        monkeypatch.chdir(unprivileged)
        for name in ("v/a.mp4", "v/closed/b.mp4", "v/open/c.mp4"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
        Path("v/closed").chmod(0)
        assert expand("v", recursive=True) == ["v/a.mp4", "v/open/c.mp4", "v/closed"]
        assert expand("v/closed", "v/closed/b.mp4") == ["v/closed", "v/closed/b.mp4"]
        for name in ("v/closed", "v/closed/b.mp4"):
            with pytest.raises(InputError, match="Permission denied"):
                check_source(Path(name))
        Path("v/a.mp4").chmod(0)
        with pytest.raises(InputError, match="no permission to read it"):
            check_source(Path("v/a.mp4"))

    def test_pictures_of_a_folder_are_inputs_of_their_own(self, tree):
        Path("p").mkdir()
        for name in ("beach.jpg", "dog.png", "shot_01.png", "shot_02.png"):
            Path("p", name).touch()
        assert expand("p") == ["p/beach.jpg", "p/dog.png", "p/shot_%02d.png"]
        assert expand("p", splits_images=False) == ["p"]

    def test_folder_for_results_is_not_searched(self, tree):
        Path("v/out").mkdir()
        Path("v/out/a.mp4").touch()
        assert "v/out/a.mp4" in expand("v", recursive=True)
        assert "v/out/a.mp4" not in expand("v", recursive=True, results=Path("v/out"))


def outputs(words, output=None, suffix_of=mp4, **options):
    sources = expand_inputs(words, **options)
    return [job.output.as_posix() for job in plan_jobs(sources, output, suffix_of=suffix_of)]


class TestNames:
    def test_beside_the_input(self, tree):
        assert outputs(["v/b.mp4"]) == ["v/b_refvid.mp4"]
        assert outputs(["v/a.MOV"]) == ["v/a_refvid.mp4"]

    def test_file(self, tree):
        assert outputs(["v/b.mp4"], "new.mkv") == ["new.mkv"]

    def test_folders(self, tree):
        assert outputs(["v/b.mp4"], "e") == ["e/b_refvid.mp4"]
        assert outputs(["v/b.mp4"], "new/") == ["new/b_refvid.mp4"]
        assert outputs(["v"], "new") == ["new/a_refvid.mp4", "new/b_refvid.mp4"]

    def test_folder_keeps_the_tree(self, tree):
        assert outputs(["v"], "new/", recursive=True)[-1] == "new/sub/c_refvid.mp4"

    def test_templates(self, tree):
        assert outputs(["v/b.mp4"], "{dir}/x/{stem}.y{ext}") == ["v/x/b.y.mp4"]
        assert outputs(["v/b.mp4"], "out/{stem}_%04d.png") == ["out/b_%04d.png"]
        assert outputs(["i/shot_%04d.png"], "{dir}/{stem}{ext}") == ["i/shot.mp4"]
        assert outputs(["i"], "out/{stem}{ext}") == ["out/i.mp4"]

    def test_sequences_get_a_folder(self, tree):
        assert outputs(["i"]) == ["i_refvid/%d.png"]
        assert outputs(["i/shot_%04d.png"]) == ["i/shot_refvid/shot_%04d.png"]
        assert outputs(["i/%d.png"]) == ["i/frames_refvid/%d.png"]
        assert outputs(["i/100%%_%d.png"]) == ["i/100%_refvid/100%%_%d.png"]
        assert outputs(["i"], "new/") == ["new/i_refvid/%d.png"]
        assert outputs(["i"], "i.mp4") == ["i.mp4"]

    def test_pictures_keep_their_names(self, tree):
        Path("p").mkdir()
        for name in ("beach.jpg", "dog.png", "take%d.png"):
            Path("p", name).touch()
        names = ["p_refvid/beach.jpg", "p_refvid/dog.png", "p_refvid/take_d.png"]
        assert outputs(["p"], suffix_of=lambda path: path.suffix) == names
        in_new = [f"new/{name}" for name in names]
        assert outputs(["p"], "new/", suffix_of=lambda path: path.suffix) == in_new
        for name in ("dog.png", "take%d.png"):
            Path("p", name).unlink()
        assert outputs(["p"]) == ["p_refvid/beach.jpg"]

    def test_sequences_keep_their_names(self, tree):
        for name in ("shot_0007.tif", "shot_0008.tif"):
            Path("e", name).touch()
        assert outputs(["e"]) == ["e_refvid/shot_%04d.tif"]

    def test_previews_have_names_of_their_own(self, tree):
        sources = expand_inputs(["v/b.mp4", "i"])
        jobs = plan_jobs(sources, None, suffix_of=mp4, preview=True)
        assert [job.output.as_posix() for job in jobs] == [
            "v/b_refvid_preview.mp4",
            "i_refvid_preview/%d.png",
        ]
        for output, name in (("{dir}/{stem}_new{ext}", "v/b_new_preview.mp4"), ("x.mp4", "x.mp4")):
            (planned,) = plan_jobs(sources[:1], output, suffix_of=mp4, preview=True)
            assert planned.output.as_posix() == name

    def test_current_folder(self, tree, monkeypatch):
        monkeypatch.chdir(tree / "i")
        assert outputs(["."]) == [(tree / "i_refvid" / "%d.png").as_posix()]

    @pytest.mark.parametrize(
        "output", ["{stem", "{name}.mp4", "{}.mp4", "{stem!z}.mp4", "{stem:d}"]
    )
    def test_wrong_templates(self, tree, output):
        with pytest.raises(OptionError, match="--output"):
            outputs(["v/b.mp4"], output)

    def test_name_without_type(self, tree):
        with pytest.raises(OptionError, match="new/"):
            outputs(["v/b.mp4"], "new")

    def test_several_inputs_one_file(self, tree):
        with pytest.raises(OptionError, match="both"):
            outputs(["v"], "new.mp4")

    def test_two_stems_alike(self, tree):
        with pytest.raises(OptionError, match="both"):
            outputs(["v/b.mp4", "v/b.mov"], "new/")

    def test_output_is_another_input(self, tree):
        with pytest.raises(OptionError, match="is the input"):
            outputs(["v/b.mp4", "v/a.MOV"], "v/{stem}.mp4")

    def test_single_images_are_not_a_sequence(self, tree):
        with pytest.raises(OptionError, match="pattern"):
            outputs(["i/1.png", "i/2.png"])


class TestChecks:
    @pytest.mark.parametrize("name", ["missing.mp4", "v/*.webm", "i/shot_%04d.png", "e"])
    def test_nothing_to_read(self, tree, name):
        with pytest.raises(InputError):
            check_source(Path(name))

    @pytest.mark.parametrize("name", ["v/b.mp4", "i", "i/%d.png"])
    def test_something_to_read(self, tree, name):
        check_source(Path(name))

    @pytest.mark.parametrize("name", ["v/b.mp4", "no/x.mp4", "v/b.mp4/x.mp4", "i/%d.png"])
    def test_outputs_that_cannot_be(self, tree, name):
        with pytest.raises(OutputError):
            check_output(Path(name), overwrite=False)

    def test_a_folder_is_never_overwritten(self, tree):
        with pytest.raises(OutputError, match="is a folder"):
            check_output(Path("v"), overwrite=True)

    def test_overwrite(self, tree):
        check_output(Path("v/b.mp4"), overwrite=True)

    def test_sequence_exists_with_its_first_image(self, tree):
        assert output_exists(Path("i/%d.png"))
        assert not output_exists(Path("i/%04d.png"))
        assert not output_exists(Path("no/%04d.png"))


def job(name):
    return Job(source=Path(name), output=Path(f"{name}.out"))


def test_triage_splits(tree):
    Path("v/b.mp4.out").touch()
    jobs = [job("v/b.mp4"), job("v/a.MOV"), job("missing.mp4")]
    ready, others = triage(jobs, BatchRules(skip_existing=True))
    assert ready == [jobs[1]]
    assert [outcome.status for outcome in others] == ["skipped", "failed"]


def test_triage_compares_what_is_there(tree):
    problem = "b.mp4.out has 3 of 50 frames"
    found = {
        "v/b.mp4": Existing(problem=problem, is_ours=True),
        "v/a.MOV": Existing(problem="a.MOV.out has 3 of 50 frames", is_ours=False),
        "v/sub/c.mkv": Existing(),
    }
    for name in found:
        Path(f"{name}.out").touch()
    jobs = [job(name) for name in (*found, "v/notes.txt")]
    ready, others = triage(
        jobs,
        BatchRules(skip_existing=True),
        find_existing=lambda job: found.get(job.source.as_posix()),
    )
    assert [(job.source.name, job.replaces) for job in ready] == [
        ("b.mp4", problem),
        ("notes.txt", ""),
    ]
    foreign, done = others
    assert "--overwrite" in str(foreign.error)
    assert done.skipped.endswith("exists and is whole")


def test_json_says_why(tree, capsys):
    console = Console()
    console.start(as_json=True)
    found = {
        "v/b.mp4": Existing(problem="b.mp4.out has 3 of 50 frames", is_ours=True),
        "v/a.MOV": Existing(),
    }
    for name in found:
        Path(f"{name}.out").touch()
    jobs = [job(name) for name in ("v/sub/c.mkv", *found)]
    batch = Batch(
        console,
        BatchRules(skip_existing=True),
        jobs,
        find_existing=lambda job: found.get(job.source.as_posix()),
    )
    for each in batch:
        with batch.attempt(each) as outcome:
            outcome.report = cast("Any", Report("done"))
    assert batch.finish() == 0
    console.close()
    results = json.loads(capsys.readouterr().out)["results"]
    assert [(each["status"], each.get("reason")) for each in results] == [
        ("done", None),
        ("done", "b.mp4.out has 3 of 50 frames"),
        ("skipped", "v/a.MOV.out exists and is whole"),
    ]


def test_two_names_that_are_one_to_the_disk(tree):
    """Where letter case does not count, the second result would replace the first."""

    first, second = job("a"), job("A")
    first.output.touch()
    second.output.hardlink_to(first.output)
    outcomes = run_batch([first, second], lambda _: Report("done"), overwrite=True)
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert "their names are the same to this disk" in str(outcomes[1].error)


def test_batch_names_what_the_file_system_says(tree):
    def work(job):
        name = {"a": "elsewhere.mp4", "b": job.output, "c": ".refvid-0123456789ab.mp4"}
        raise PermissionError(13, "Permission denied", str(name[job.source.name]))

    outcomes = run_batch([job("a"), job("b"), job("c")], work)
    errors = [outcome.error for outcome in outcomes]
    assert [type(error) for error in errors] == [InputError, OutputError, OutputError]
    assert str(errors[0]) == "Cannot read elsewhere.mp4: Permission denied."


def test_the_folder_of_a_sequence_is_not_made_before_it_is_whole(tree):
    wanted = Job(source=Path("i"), output=Path("new/i_refvid/%d.png"), create_folder=True)
    run_batch([wanted], lambda _: Report("done"))
    assert Path("new").is_dir()
    assert not Path("new/i_refvid").exists()


def test_batch_goes_on_and_tells():
    def work(job):
        if job.source.name == "b":
            raise ValueError("surprise")
        return Report(job.source.name.upper())

    outcomes = list(run_batch([job("a"), job("b"), job("c")], work))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert [outcome.report for outcome in outcomes] == ["A", None, "C"]


def test_batch_lets_ctrl_c_through():
    def work(_job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_batch([job("a"), job("b")], work))


def test_folder_that_cannot_be_made(tree):
    blocked = Job(source=Path("s.mp4"), output=Path("v/b.mp4/x/y.mp4"), create_folder=True)
    (outcome,) = run_batch([blocked], lambda _: None)
    assert isinstance(outcome.error, OutputError)


class TestLongNames:
    @pytest.mark.parametrize("letter", ["x", "é", "夏", "🎬"])
    @pytest.mark.parametrize("length", [240, 244, 248, 251])
    def test_a_result_has_a_name_that_fits(self, tmp_path, monkeypatch, letter, length):
        monkeypatch.chdir(tmp_path)
        stem = "".ljust(length % len(letter.encode()), "y")
        stem += letter * ((length - len(stem)) // len(letter.encode()))
        Path(f"{stem}.mp4").touch()
        (name,) = outputs([f"{stem}.mp4"])
        assert len(name.encode()) <= 255
        assert name.endswith("_refvid.mp4")
        assert stem.startswith(name.removesuffix("_refvid.mp4"))
        Path(name).touch()
        assert expand(".") == [f"{stem}.mp4"], "not the result of the first run"

    def test_two_that_would_become_one_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for end in "ab":
            Path(f"{'x' * 249}{end}.mp4").touch()
        with pytest.raises(OptionError, match="would both be written"):
            outputs(["."])


class TestImagesThatMove:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("f").mkdir()
        return Path("f")

    @staticmethod
    def save(path, count):
        first, *others = (Image.new("RGB", (8, 8), (60 * index, 0, 0)) for index in range(count))
        first.save(path, save_all=count > 1, append_images=others)

    def test_a_folder_of_them_is_so_many_videos(self, folder):
        for name in ("a1.webp", "a2.webp", "b.png"):
            self.save(folder / name, 3)
        assert expand("f") == ["f/a1.webp", "f/a2.webp", "f/b.png"]
        names = outputs(["f"], "new/")
        assert names == ["new/a1_refvid.mp4", "new/a2_refvid.mp4", "new/b_refvid.mp4"]

    def test_they_do_not_push_out_other_images(self, folder):
        for number in (1, 2, 3):
            self.save(folder / f"shot_{number}.png", 1)
        self.save(folder / "moving.webp", 3)
        assert expand("f") == ["f/shot_%d.png", "f/moving.webp"]

    def test_they_go_with_videos(self, folder):
        (folder / "v.mp4").touch()
        self.save(folder / "moving.webp", 3)
        self.save(folder / "still.png", 1)
        assert expand("f") == ["f/v.mp4", "f/moving.webp"]

    def test_several_may_be_given(self, folder):
        self.save(folder / "a.webp", 3)
        self.save(folder / "b.webp", 3)
        assert len(outputs(["f/a.webp", "f/b.webp"])) == 2
        self.save(folder / "a.webp", 1)
        self.save(folder / "b.webp", 1)
        with pytest.raises(OptionError, match="single images"):
            outputs(["f/a.webp", "f/b.webp"])


class TestStyleNames:
    def names(self, *words, output=None, **options):
        sources = expand_inputs(words)
        jobs = plan_jobs(sources, output, suffix_of=mp4, style="art", **options)
        return [job.output.as_posix() for job in jobs]

    def test_results_are_called_after_the_style(self, tree):
        assert self.names("v/b.mp4") == ["v/b_art.mp4"]
        assert self.names("v/b.mp4", preview=True) == ["v/b_art_preview.mp4"]
        assert self.names("v/b.mp4", output="out/") == ["out/b_art.mp4"]
        assert self.names("i") == ["i_art/%d.png"]

    def test_templates_know_it(self, tree):
        assert self.names("v/b.mp4", output="{stem}-in-{style}{ext}") == ["b-in-art.mp4"]
        with pytest.raises(OptionError, match=r"\{dir\}, \{stem\}, \{ext\}, \{style\}"):
            self.names("v/b.mp4", output="{name}.mp4")
        with pytest.raises(OptionError, match=r"\{dir\}, \{stem\}, \{ext\}, as"):
            plan_jobs(expand_inputs(["v/b.mp4"]), "{style}.mp4", suffix_of=mp4)

    @pytest.mark.parametrize(
        ("styles", "keyframes", "name"),
        [
            (["a/art.jpg"], [], "art"),
            (["art.jpg", "wave.png"], ["k.png"], "art+wave"),
            ([], ["k.png", "k.png", "l.png"], "k+l"),
            (["take%04d.png"], [], "take_04d"),
            (["x" * 200 + ".png"], [], "x" * 60),
        ],
    )
    def test_what_it_is_called(self, styles, keyframes, name):
        found = Styles(
            styles=tuple(StyleSource(image=Path(image)) for image in styles),
            keyframes=tuple(KeyframeSource(image=Path(image), frame=0) for image in keyframes),
        )
        assert found.name == name

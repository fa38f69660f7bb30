"""What people write out of habit or by mistake: each gets a sentence, and nothing is begun."""

import json
from pathlib import Path

import pytest

from refvid.cli.slips import expand_home
from refvid.cli.wildcards import expand_wildcards


@pytest.fixture
def refused(run, fake, clip):
    """Run `enhance CLIP WORDS`, which must fail on the words: give what it says."""

    def refuse(*words, command=None, code=2):
        result = run(*(command or ("enhance", clip)), *words)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert fake.loads == 0
        return result.stderr

    return refuse


class TestHelp:
    @pytest.mark.parametrize(
        "words", [(), ("enhance",), ("models",), ("models", "download"), ("help", "stylize")]
    )
    def test_help_is_help(self, run, words):
        wanted = [word for word in words if word != "help"]
        assert run("help", *words).stdout == run(*wanted, "--help").stdout
        assert run("help", *words).exit_code == 0

    def test_of_a_group(self, run):
        assert run("models", "help").stdout == run("models", "--help").stdout

    def test_of_nothing(self, run):
        result = run("help", "nothing")
        assert result.exit_code == 2
        assert "nothing" in result.stderr


class TestDoubled:
    @pytest.mark.parametrize(
        ("words", "option"),
        [
            (("--ref-fit", "cover", "--ref-fit", "auto"), "--ref-fit"),
            (("-o", "a.mp4", "--output", "b.mp4"), "--output"),
            (("--crf", "16", "--crf=18"), "--crf"),
        ],
    )
    def test_the_last_one_does_not_win_silently(self, refused, words, option):
        assert refused(*words) == f"error: {option} is given twice: give it once\n"

    def test_thrice(self, refused):
        assert "3 times" in refused("--crf", "1", "--crf", "2", "--crf", "3")

    def test_what_may_be_repeated(self, run, fake, clip):
        words = (
            "--ref",
            "frame:0",
            "--ref",
            "frame:1",
            "-e",
            "preset=slow",
            "-e",
            "tune=grain",
            "-y",
            "-y",
            "-q",
            "-q",
        )
        assert run("enhance", clip, *words).exit_code == 0

    def test_help_comes_first(self, run, clip):
        assert run("enhance", clip, "--crf", "1", "--crf", "2", "--help").exit_code == 0


class TestAddresses:
    @pytest.mark.parametrize(
        "words",
        [
            ("https://example.org/a/b.mp4",),
            ("--ref", "https://example.org/a/b.mp4"),
            ("-o", "https://example.org/a/b.mp4"),
        ],
    )
    def test_they_are_told_whole(self, refused, words):
        assert "https://example.org/a/b.mp4: refvid reads files" in refused(*words)

    @pytest.mark.parametrize("command", ["info", "decode", "metrics", "compare"])
    def test_everywhere(self, refused, command):
        more = ("--reference", "x") if command == "metrics" else ()
        said = refused(command=(command, "rtsp://camera/1", *more))
        assert "rtsp://camera/1: refvid reads files, not addresses" in said

    def test_files_as_browsers_write_them(self, refused):
        assert "alone: /a/b c.mp4" in refused("file:///a/b%20c.mp4")

    def test_a_pipe(self, refused):
        assert "--ref -: nothing is read from a pipe" in refused("--ref", "-")
        said = refused(command=("compare", "-", "a.mp4"))
        assert "nothing is read from a pipe" in said
        said = refused(command=("encode", "a.mp4", "-o", "-"))
        assert "--output -: nothing is written to standard output" in said


class TestHome:
    @pytest.mark.parametrize(
        ("word", "expanded"),
        [
            ("~/a.mp4", "HOME/a.mp4"),
            ("--ref=~/a.png", "--ref=HOME/a.png"),
            ("~", "HOME"),
            ("a~/b.mp4", "a~/b.mp4"),
            ("~a.mp4", "~a.mp4"),
            ("--labels=a,~/b", "--labels=a,~/b"),
        ],
    )
    def test_quoted(self, monkeypatch, word, expanded):
        monkeypatch.setenv("HOME", "HOME")
        monkeypatch.setenv("USERPROFILE", "HOME")
        assert Path(expand_home(word)) == Path(expanded)

    def test_a_folder_of_that_name(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "~").mkdir()
        assert expand_home("~") == "~"

    def test_the_whole_way(self, run, fake, clip, monkeypatch):
        monkeypatch.setenv("HOME", str(clip.parent))
        monkeypatch.setenv("USERPROFILE", str(clip.parent))
        result = run("enhance", "~/clip.mp4", "-o", "~/out.mp4")
        assert result.stdout == f"{clip.with_name('out.mp4')}\n"


class TestForeignOptions:
    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("-crf", "write --crf"),
            ("-ref=a.png", "write --ref"),
            ("-preview", "write --preview"),
            ("-i", "refvid enhance clip.mp4"),
            ("--reference", "--ref IMAGE"),
            ("-ss", "--start TIME"),
            ("--resize", "--scale 2"),
            ("--fps", "--rate FPS is for image sequences"),
            ("--gpu", "--device cuda"),
            ("--force", "--overwrite replaces"),
        ],
    )
    def test_enhance(self, refused, word, said):
        assert said in refused(word, "1")

    def test_other_commands_have_other_options(self, refused, clip):
        assert "--style IMAGE" in refused("--ref", "a.png", command=("stylize", clip))
        assert "--reference FILE" in refused("--ref", "a.png", command=("metrics", clip))

    def test_what_nobody_knows_is_left_to_typer(self, refused):
        assert "No such option" in refused("--nonsense")

    def test_after_two_dashes_everything_is_a_name(self, run, fake, clip, monkeypatch):
        monkeypatch.chdir(clip.parent)
        clip.rename("-crf.mp4")
        assert run("enhance", "--", "-crf.mp4").exit_code == 0


class TestKinds:
    def test_latents_are_no_video(self, run, fake, tmp_path):
        latents = tmp_path / "a.pt"
        latents.write_bytes(b"\x10\0\0\0\0\0\0\0" + b'{"a":1}')
        result = run("enhance", latents)
        assert result.exit_code == 3
        assert "refvid decode makes videos of latents" in result.stderr
        assert fake.loads == 0

    def test_a_video_is_no_latents(self, run, make_video):
        result = run("decode", make_video(3))
        assert result.exit_code == 3
        assert "refvid enhance rebuilds videos" in result.stderr
        assert "model" not in result.stderr

    def test_a_picture_is_no_latents(self, run, tmp_path):
        from PIL import Image

        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        result = run("decode", tmp_path / "a.png")
        assert result.exit_code == 3
        assert "is given with --ref" in result.stderr

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("-o", "out.foo"), 4, "Cannot write out.foo: use one of .mp4"),
            (("-o", "{stem}.avi"), 4, "use one of .mp4"),
            (("-c", "nonsense"), 4, "no codec or encoder nonsense"),
            (("-c", "h265", "--crf", "60"), 2, "from 0 to 51"),
        ],
    )
    def test_what_cannot_be_written_is_told_before_the_model_is_there(
        self, refused, words, code, said
    ):
        assert said in refused(*words, code=code)

    @pytest.mark.parametrize("output", ["out.d/", "{stem}_new{ext}", "x.mkv"])
    def test_what_can_be_written(self, run, fake, clip, monkeypatch, output):
        monkeypatch.chdir(clip.parent)
        assert run("enhance", clip, "-o", output).exit_code == 0


class TestWildcards:
    def test_in_order_and_only_where_there_is_no_such_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("b1.mp4", "b2.mp4", "a[1].mp4"):
            Path(name).touch()
        words = [Path("b*.mp4"), Path("a[1].mp4"), Path("c*.mp4"), Path("shot_%04d.png")]
        assert [path.name for path in expand_wildcards(words)] == [
            *("b1.mp4", "b2.mp4"), "a[1].mp4", "c*.mp4", "shot_%04d.png",
        ]  # fmt: skip

    def test_votes(self, run, tmp_path):
        for session in ("one", "two"):
            vote = {"trial": 0, "clip": "c", "left": "a", "right": "b", "choice": "left"}
            document = {"refvid_votes": 1, "report": "r", "session": session, "votes": [vote]}
            (tmp_path / f"votes-{session}.json").write_text(json.dumps(document))
        result = run("compare", "--votes", f"{tmp_path}/votes-*.json", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["votes"] == 2

    def test_metrics_and_compare(self, run, make_video, tmp_path):
        clean = make_video(3, "clean.mp4")
        for name in ("x1.mp4", "x2.mp4"):
            make_video(3, name)
        words = ("--reference", clean, "--measures", "psnr", "--json")
        result = run("metrics", f"{tmp_path}/x*.mp4", *words)
        assert result.exit_code == 0, result.stderr
        assert len(json.loads(result.stdout)["results"]) == 2
        result = run("compare", f"{tmp_path}/x?.mp4", "-o", tmp_path / "page.html")
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("name", ["side_by_side.mp4", "page.txt", "page"])
def test_a_page_has_the_suffix_of_a_page(run, make_video, tmp_path, name):
    make_video(3, "a.mp4")
    result = run("compare", tmp_path / "a.mp4", tmp_path / "a.mp4", "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "--montage" in result.stderr
    assert not (tmp_path / name).exists()


class TestStrayPictures:
    @pytest.fixture
    def photo(self, tmp_path):
        from PIL import Image

        path = tmp_path / "photo.png"
        Image.new("RGB", (8, 8)).save(path)
        return path

    def test_a_forgotten_ref(self, refused, photo):
        assert f"{photo} is a picture among videos" in refused(photo)
        assert f"write --ref {photo}" in refused(photo)

    def test_also_where_there_is_one(self, refused, photo):
        assert "--ref" in refused(photo, "--ref", "frame:0")

    def test_a_second_style(self, run, fake, clip, photo, picture):
        result = run("stylize", clip, "--style", picture, photo)
        assert result.exit_code == 2
        assert f"write --style {photo}" in result.stderr
        assert fake.loads == 0

    def test_a_picture_alone_is_an_input(self, run, fake, photo):
        assert run("enhance", photo).exit_code == 0

    def test_folders_of_pictures_are_inputs(self, run, fake, clip, photo):
        folder = photo.parent / "album"
        folder.mkdir()
        photo.rename(folder / "dog.png")
        (folder / "cat.png").write_bytes((folder / "dog.png").read_bytes())
        result = run("enhance", clip, folder)
        assert result.exit_code == 0, result.stderr
        assert len(fake.calls) == 3


def test_a_name_that_is_nearly_right(run, fake, clip):
    result = run("enhance", clip.with_name("clipp.mp4"))
    assert result.exit_code == 3
    assert f"did you mean {clip}?" in result.stderr
    result = run("enhance", clip.with_name("else.mp4"))
    assert "did you mean" not in result.stderr

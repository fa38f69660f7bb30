"""`refvid models` as users start it, with the real hub client against a server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from refvid.models.registry import bundled_names
from tests.e2e.hub_server import COMMIT, Hub, serve

REPOSITORY = "somebody/weights"
PATH = "folder/model.pt"
CONTENT = bytes(range(256)) * 9000  # 2.3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()

PROGRAM = """
import json, sys, typer
from refvid.checkpoints.catalog import Catalog, CatalogEntry
from refvid.cli.app import ProgramGroup
from refvid.cli.models import make_app
app = typer.Typer(cls=ProgramGroup, pretty_exceptions_enable=False)
app.callback()(lambda: None)
app.add_typer(make_app(Catalog((CatalogEntry(**json.loads(sys.argv[1])),))))
if sys.argv[2:3] != ["one after the other"]:
    app(sys.argv[2:])
from typer.testing import CliRunner
for words in json.loads(sys.argv[3]):
    run = CliRunner().invoke(app, ["models", *words])
    print(json.dumps([run.exit_code, run.stdout, run.stderr]), flush=True)
"""
FETCH_WITHOUT_PATIENCE = """
import json, sys
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import CatalogEntry
from refvid.checkpoints.download import fetch
from refvid.errors import RefvidError
try:
    print(fetch(CatalogEntry(**json.loads(sys.argv[1])), Cache.default(), pauses_s=()))
except RefvidError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""

CHOOSE = """
import json, sys
import torch
from refvid.checkpoints.cache import Cache
from refvid.checkpoints.catalog import Catalog, CatalogEntry
from refvid.progress import ignore_transfer
from refvid.rebuild.choose_backbone import _choose_name
from refvid.rebuild.options import ModelOptions
catalog = Catalog((CatalogEntry(**json.loads(sys.argv[1])),))
for kind in sys.argv[2:]:
    options, device = ModelOptions(), torch.device(kind)
    choice = _choose_name(options, device, catalog, Cache.default(), ignore_transfer)
    print(json.dumps(choice))
"""
Finished = subprocess.CompletedProcess[str]


@dataclass
class Machine:
    """One user's caches, and the program on them."""

    folder: Path
    endpoint: str
    entry: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "tiny",
            "repository": REPOSITORY,
            "path": PATH,
            "revision": COMMIT[:7],
            "backbone": "wan2.1",
            "licence": "MIT",
            "size": len(CONTENT),
            "sha256": SHA256,
        }
    )

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "REFVID_", "HUGGINGFACE"))
            and "proxy" not in name.lower()
        }
        return {
            **kept,
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "REFVID_CACHE": str(self.folder / "refvid"),
            "OMP_NUM_THREADS": "1",
            **changes,
        }

    def models(self, *words: str, **changes: str) -> Finished:
        """Run `refvid models` with a catalogue of one entry."""
        return self._run(PROGRAM, "models", *words, **changes)

    def several(self, *commands: str, **changes: str) -> list[Finished]:
        """Run several commands in one process, which saves its start."""
        words = json.dumps([command.split() for command in commands])
        run = self._run(PROGRAM, "one after the other", words, **changes)
        assert run.returncode == 0, run.stderr
        results = [json.loads(line) for line in run.stdout.splitlines()]
        return [subprocess.CompletedProcess([], *result) for result in results]

    def fetch(self, **changes: str) -> Finished:
        """Fetch without waiting between attempts, so that failing is quick."""
        return self._run(FETCH_WITHOUT_PATIENCE, **changes)

    def choose(self, *devices: str, **changes: str) -> list[list[str]]:
        """Model and reason that `--model auto` comes to on each of these devices."""
        self.entry["name"] = "wan2.1"
        run = self._run(CHOOSE, *devices, **changes)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    def _run(self, code: str, *words: str, **changes: str) -> Finished:
        return subprocess.run(
            [sys.executable, "-c", code, json.dumps(self.entry), *words],
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def files(self) -> list[Path]:
        """Whole or unfinished files in the hub's cache."""
        blobs = self.folder / "hf" / "hub" / "models--somebody--weights" / "blobs"
        return sorted(blobs.iterdir()) if blobs.is_dir() else []


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub(repository=REPOSITORY, files={PATH: CONTENT})) as hub:
        yield hub


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path, hub.endpoint)


@pytest.fixture
def failed() -> Callable[..., str]:
    """Check that a run failed with the code for weights, in one line, and give that."""

    def check(run: Finished, *words: str) -> str:
        assert "Traceback" not in run.stderr, run.stderr
        assert run.returncode in (1, 5), run  # 1 is that of the small script above
        assert run.stdout == ""
        line = run.stderr.splitlines()[-1]
        for word in words:
            assert word in line
        return line

    return check


def test_from_nothing_to_nothing(machine: Machine, hub: Hub) -> None:
    listed, missing = machine.several("list --json", "path tiny")
    models = json.loads(listed.stdout)["models"]
    assert [model["name"] for model in models] == [*bundled_names(), "tiny"]
    assert models[-1]["state"] == "not downloaded"
    assert missing.returncode == 5
    assert "refvid models download tiny" in missing.stderr
    assert not hub.requests

    run = machine.models("download", "tiny")
    assert run.returncode == 0, run.stderr
    path = Path(run.stdout.strip())
    assert path.read_bytes() == CONTENT
    assert path.parts[-3:] == (COMMIT, "folder", "model.pt")  # where other programs look
    assert not any(machine.folder.rglob("*.incomplete"))

    asked = len(hub.requests)
    *runs, verified = machine.several("download tiny", "path tiny", "verify")
    assert [run.stdout.strip() for run in runs] == [str(path)] * 2
    assert (verified.returncode, verified.stdout) == (0, f"ok  tiny  {path}\n")
    assert len(hub.requests) == asked  # none of these needs the network

    removed, again, verified = machine.several("remove tiny", "remove tiny", "verify")
    assert removed.returncode == 0
    assert "2.2 MiB freed" in removed.stderr
    assert str(path) in removed.stdout
    assert machine.files() == []
    assert not path.exists()
    assert "nothing to remove" in again.stderr
    assert verified.returncode == 0


def test_json(machine: Machine) -> None:
    runs = machine.several(
        *(f"{word} tiny --json" for word in ("download", "path", "verify", "remove"))
    )
    downloaded, found, verified, removed = (json.loads(run.stdout) for run in runs)
    path = downloaded["model"]["path"]
    assert downloaded["model"]["sha256"] == SHA256
    assert found["path"] == path
    assert verified["exit_code"] == 0
    assert verified["files"] == [
        {"name": "tiny", "path": path, "sha256": SHA256, "error": None, "ok": True}
    ]
    assert removed["freed_bytes"] == len(CONTENT)
    assert path in removed["removed"]


def test_a_token_goes_to_the_hub_and_no_further(machine: Machine, hub: Hub, failed) -> None:
    hub.token = "hf_secret"
    line = failed(machine.models("download", "tiny"), REPOSITORY, "HF_TOKEN", "--weights")
    assert "hf_secret" not in line
    assert machine.models("download", "tiny", HF_TOKEN="hf_secret").returncode == 0
    assert not any("authorization" in headers for headers in hub.asked("GET", "/cdn/"))


def test_a_short_revision_that_the_hub_does_not_know(machine: Machine, hub: Hub, failed) -> None:
    hub.short_revisions = False
    run = machine.models("download", "tiny")
    assert run.returncode == 0, run.stderr
    assert COMMIT in run.stdout
    machine.entry["revision"] = "abcdef0"
    failed(machine.models("download", "tiny"), "abcdef0", "newer refvid", "--weights")


def test_a_branch_called_like_a_commit_is_not_taken_for_it(
    machine: Machine, hub: Hub, failed
) -> None:
    hub.branch = machine.entry["revision"] = "abcdef0"
    failed(machine.models("download", "tiny"), "abcdef0", COMMIT)
    assert machine.files() == []


def test_broken_connections(machine: Machine, hub: Hub) -> None:
    hub.breaks = [1_000_000, 500_000]
    run = machine.models("download", "tiny")
    assert run.returncode == 0, run.stderr
    assert "going on in 1 s" in run.stderr
    assert Path(run.stdout.strip()).read_bytes() == CONTENT
    ranges = [headers.get("range") for headers in hub.asked("GET", "/cdn/")]
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_another_run_goes_on_where_one_stopped(machine: Machine, hub: Hub, failed) -> None:
    hub.breaks = [1_000_000]
    failed(machine.fetch(), "CheckpointUnavailable", "what has arrived is kept", "HF_ENDPOINT")
    [partial] = machine.files()
    assert partial.stat().st_size == 1_000_000
    listed = json.loads(machine.models("list", "--json").stdout)["models"]
    assert listed[-1]["state"] == "partly downloaded"
    assert machine.models("download", "tiny").returncode == 0
    assert hub.asked("GET", "/cdn/")[-1]["range"] == "bytes=1000000-"
    hub.breaks = [1_000_000]
    machine.models("remove", "tiny")
    machine.fetch()
    assert "976.6 KiB freed" in machine.models("remove", "tiny").stderr
    assert machine.files() == []


def test_a_server_without_ranges_begins_again(machine: Machine, hub: Hub) -> None:
    hub.ranges = False
    hub.breaks = [1_000_000]
    run = machine.models("download", "tiny")
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == CONTENT


def test_a_file_damaged_on_its_way(machine: Machine, hub: Hub, failed) -> None:
    hub.body = CONTENT[:-1] + b"!"
    failed(machine.models("download", "tiny"), "damaged", "refvid models download tiny")
    assert machine.files() == []  # the next attempt begins anew
    hub.body = None
    assert machine.models("download", "tiny").returncode == 0


def test_a_file_that_ends_early(machine: Machine, hub: Hub, failed) -> None:
    hub.body = CONTENT[:1_000_000]
    failed(machine.fetch(), "CheckpointUnavailable", "ended before the file did")


def test_a_mirror_that_announces_more_than_it_has(machine: Machine, hub: Hub, failed) -> None:
    machine.entry |= {"size": None, "sha256": None}
    hub.announced_size = 3 * len(CONTENT)
    failed(machine.fetch(), "CheckpointUnavailable", "ended before the file did")
    asked = len(hub.asked("GET", "/cdn/"))
    failed(machine.fetch(), "CheckpointUnavailable", "another part")
    assert len(hub.asked("GET", "/cdn/")) == asked + 1


def test_another_file_is_not_even_downloaded(machine: Machine, hub: Hub, failed) -> None:
    hub.files[PATH] = CONTENT[::-1]
    failed(machine.models("download", "tiny"), "another file", "HF_ENDPOINT")
    hub.files[PATH] = CONTENT[:-1]
    failed(machine.models("download", "tiny"), f"{len(CONTENT) - 1} bytes")
    assert not hub.asked("GET", "/cdn/")


def test_files_that_changed_on_disk(machine: Machine, failed) -> None:
    path = Path(machine.models("download", "tiny").stdout.strip())
    path.write_bytes(CONTENT[:-1] + b"!")
    used, verified = machine.several("download tiny", "verify tiny --json")
    failed(used, "SHA-256", "remove tiny", "download tiny")
    document = json.loads(verified.stdout)
    assert verified.returncode == document["exit_code"] == 5
    assert not document["files"][0]["ok"]
    path.write_bytes(CONTENT[:-1])
    verified, _, repaired = machine.several("verify", "remove tiny", "download tiny")
    failed(verified, f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}")
    assert repaired.returncode == 0


def test_a_hash_that_is_not_known_is_learned(machine: Machine, hub: Hub, failed) -> None:
    machine.entry |= {"size": None, "sha256": None}
    done, listed, _ = machine.several("download tiny", "list --json", "remove tiny")
    assert done.returncode == 0
    model = json.loads(listed.stdout)["models"][-1]
    assert (model["sha256"], model["size"]) == (SHA256, len(CONTENT))
    hub.files[PATH] = CONTENT[::-1]
    failed(machine.models("download", "tiny"), "damaged", SHA256)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"files": {}}, ("has no folder/model.pt", "newer refvid")),
        ({"repository": "somebody/else"}, ("somebody/weights", "HF_TOKEN")),
        ({"gated": True}, ("accepted its conditions", "HF_TOKEN")),
        ({"no_metadata": True}, ("does not answer like a Hugging Face Hub", "HF_ENDPOINT")),
        ({"statuses": [500]}, ("answered 500", "HF_ENDPOINT")),
        ({"statuses": [403]}, ("answered 403", "HF_TOKEN")),
    ],
    ids=str,
)
def test_answers_that_bring_nothing(machine: Machine, hub: Hub, failed, fault, words) -> None:
    for name, value in fault.items():
        setattr(hub, name, value)
    failed(machine.fetch(), "CheckpointUnavailable", "--weights FILE", *words)
    assert machine.files() == []


def test_a_busy_server_is_asked_again(machine: Machine, hub: Hub) -> None:
    hub.statuses = [503]
    run = machine.models("download", "tiny")
    assert run.returncode == 0, run.stderr
    assert "answered 503" in run.stderr


def test_without_a_network(machine: Machine, failed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        machine.endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    # The patient program too: asking an absent server again would only cost time.
    words = ("Cannot fetch tiny", machine.endpoint, "HF_ENDPOINT", "HTTPS_PROXY", "--weights")
    failed(machine.models("download", "tiny"), *words)
    machine.endpoint = "no address at all"
    failed(machine.models("download", "tiny"), "Cannot fetch tiny")


def test_offline_by_choice(machine: Machine, hub: Hub, failed) -> None:
    failed(machine.models("download", "tiny", HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE", "--weights")
    assert not hub.requests
    path = machine.models("download", "tiny").stdout
    assert machine.models("download", "tiny", HF_HUB_OFFLINE="1").stdout == path


def test_downloads_of_other_programs_are_used_and_kept(machine: Machine, hub: Hub, failed) -> None:
    code = (
        "from huggingface_hub import hf_hub_download\n"
        f"print(hf_hub_download({REPOSITORY!r}, {PATH!r}, revision={COMMIT!r}))"
    )
    words = [sys.executable, "-c", code]
    run = subprocess.run(
        words, env=machine.environment(), capture_output=True, text=True, check=True
    )
    path = run.stdout.strip()
    asked = len(hub.requests)
    assert machine.models("download", "tiny").stdout.strip() == path
    assert len(hub.requests) == asked
    run = machine.models("remove", "tiny")
    assert "stays" in run.stderr
    assert Path(path).is_file()
    Path(path).write_bytes(b"damaged")
    # The advice works, although what lies there is a link to the file.
    line = failed(machine.models("verify"), "Delete ", "refvid models download tiny")
    named = Path(line.partition("Delete ")[2].partition(", and run")[0])
    assert named == Path(path).resolve()
    named.unlink()
    assert machine.models("download", "tiny").stdout.strip() == path
    assert Path(path).read_bytes() == CONTENT


def test_two_processes_at_once(machine: Machine, hub: Hub) -> None:
    words = [sys.executable, "-c", PROGRAM, json.dumps(machine.entry), "models", "download", "tiny"]
    runs = [
        subprocess.Popen(
            words, env=machine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    paths = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(paths) == 1
    assert len(hub.asked("GET", "/cdn/")) == 1


def test_terms_come_before_the_download(machine: Machine, hub: Hub) -> None:
    machine.entry |= {"needs_acceptance": True, "licence": "CC BY-NC-ND 4.0"}
    run = machine.models("download", "tiny")
    assert run.returncode == 2
    assert "CC BY-NC-ND 4.0" in run.stderr
    assert "--accept-license" in run.stderr
    assert not hub.requests
    assert machine.models("download", "tiny", "--accept-licence").returncode == 0  # both spellings
    # Accepted once is enough.
    assert machine.models("remove", "tiny").returncode == 0
    assert machine.models("download", "tiny").returncode == 0


def test_names_that_are_none(machine: Machine) -> None:
    *runs, bundled = machine.several(
        "download nothing", "path nothing", "verify nothing", "remove nothing", "remove mini"
    )
    for run in runs:
        assert run.returncode == 5
        assert "there is: tiny" in run.stderr
    assert bundled.returncode == 2
    assert "part of refvid" in bundled.stderr


def test_no_room(machine: Machine, hub: Hub, failed) -> None:
    machine.entry |= {"size": None, "sha256": None}
    hub.announced_size = 10**17
    failed(machine.fetch(), "Make room", "HF_HUB_CACHE")
    assert not hub.asked("GET", "/cdn/")


def test_auto_fetches_for_a_graphics_card(machine: Machine) -> None:
    fetched, at_hand = machine.choose("cuda", "cuda")
    assert fetched == ["wan2.1", "there is a graphics card, and its weights were fetched"]
    assert at_hand == ["wan2.1", "there is a graphics card, and its weights are at hand"]


def test_auto_without_a_network(machine: Machine) -> None:
    processor, card = machine.choose("cpu", "cuda", HF_HUB_OFFLINE="1")
    assert processor == ["mini", "the bundled model (no graphics card)"]  # it did not even try
    assert card == ["mini", "the bundled model (wan2.1 could not be fetched)"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "wan2.1"], 5, "HF_HUB_OFFLINE"),
        (["--model", "wan2.1", "--weights", "missing.pt"], 5, "missing.pt"),
        (["--weights", "missing.pt"], 5, "missing.pt"),
        (["--model", "wan2.1", "--weights", "clip.mp4"], 5, "clip.mp4 is neither"),
    ],
)
def test_the_program_says_what_is_missing(machine: Machine, words, code: int, said: str) -> None:
    (machine.folder / "clip.mp4").write_bytes(b"this is no video")
    run = subprocess.run(
        [sys.executable, "-m", "refvid", "enhance", "clip.mp4", "--device", "cpu", *words],
        env=machine.environment(HF_HUB_OFFLINE="1", REFVID_DTYPE="fp32"),
        cwd=machine.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert said in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr

"""A workflow that only pretends, so that the words around it are tested in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from refvid.cli.app import app
from refvid.media.inputs import Job
from refvid.progress import Progress
from refvid.rebuild import choose_backbone as choose_model
from refvid.rebuild import enhance as workflow
from refvid.rebuild.options import ModelOptions, RebuildOptions, Styles
from refvid.rebuild.reference_options import References

Run = Callable[..., Result]


class Document(SimpleNamespace):
    """Stands for a plan or a report."""

    def to_json(self) -> dict[str, Any]:
        return {"frames": self.frames}


def asked(
    job: Job, references: References | Styles, options: RebuildOptions, model: ModelOptions
) -> SimpleNamespace:
    """All that a run was asked for, in one flat object."""
    return SimpleNamespace(
        **{
            field.name: getattr(part, field.name)
            for part in (references, options, job)
            for field in fields(part)
        },
        reference_fit=getattr(references, "fit", None),
        model=model,
    )


@dataclass
class FakeWorkflow:
    """What the command asked for, and what it shall get."""

    calls: list[SimpleNamespace] = field(default_factory=list)
    planned: list[SimpleNamespace] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)
    """Error to raise, per name of the source."""

    load_error: Exception | None = None
    loads: int = 0
    may_fetch: bool = True

    def choose_backbone(
        self, options: ModelOptions, _on_transfer: object, *, may_fetch: bool = True
    ) -> Any:
        self.loads += 1
        self.may_fetch = may_fetch
        if self.load_error:
            raise self.load_error
        return SimpleNamespace(name="fake", reason="a test", options=options, fitted={})

    def plan_enhance(
        self,
        job: Job,
        references: References | Styles,
        options: RebuildOptions,
        backbone: Any,
        trial: Any = None,
    ) -> Any:
        self.planned.append(asked(job, references, options, backbone.options))
        return Document(
            kind="rebuild",
            latents=None,
            source=job.source,
            output=job.output,
            frames=48,
            width=64,
            height=48,
            model="fake",
            model_reason="a test",
            device="cpu",
            dtype="fp32",
            chunk=16,
            chunks=3,
            tile=None,
            memory_bytes=3 << 20,
            estimated_seconds=None if trial is None else 200.4,
            estimate_reason=None if trial is None else "about, as tried",
            codec="h264",
            pix_fmt="yuv420p",
            reference="none",
            notes=("a stream was dropped",),
        )

    def enhance(
        self,
        job: Job,
        references: References | Styles,
        options: RebuildOptions,
        backbone: Any,
        on_progress: Callable[[Progress], None],
    ) -> Any:
        self.calls.append(asked(job, references, options, backbone.options))
        if error := self.errors.get(job.source.name):
            raise error
        on_progress(Progress(done=48, total=48))
        plan = self.plan_enhance(job, references, options, backbone)
        job.output.write_bytes(b"video")
        return Document(
            plan=plan,
            frames=48,
            resumed=0,
            cuts=(),
            notes=(),
            warnings=(),
            seconds=2.0,
            bytes_written=5,
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWorkflow:
    fake = FakeWorkflow()
    monkeypatch.setattr(choose_model, "choose_backbone", fake.choose_backbone)
    for name in ("plan_enhance", "enhance"):
        monkeypatch.setattr(workflow, name, getattr(fake, name))
    return fake


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's own config file and variables out of the tests."""
    empty = tmp_path / "no_config.toml"
    empty.touch()
    for key in ("DEVICE", "DTYPE", "MODEL", "CODEC", "CRF", "OUTPUT", "LOG_LEVEL"):
        monkeypatch.delenv(f"REFVID_{key}", raising=False)
    monkeypatch.setenv("REFVID_CONFIG", str(empty))


@pytest.fixture
def run() -> Run:
    """Run the program in-process."""

    def run_program(*words: str | Path, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env=env)

    return run_program


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file with the name of a video; only the fake workflow takes it for one."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a video")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"not a picture")
    return path

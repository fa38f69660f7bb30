"""One run as a test asks for it: all in one flat object, with the names that it had as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from refvid.media.inputs import Job
from refvid.rebuild import decode as decoding
from refvid.rebuild import encode as encoding
from refvid.rebuild import enhance as enhancing
from refvid.rebuild.choose_backbone import LoadedBackbone
from refvid.rebuild.latents_options import DecodeOptions as PlainDecodeOptions
from refvid.rebuild.latents_options import LatentReferences, check_latents_name
from refvid.rebuild.options import ModelOptions, RebuildOptions, SourceOptions
from refvid.rebuild.plan import Plan, Report
from refvid.rebuild.reference_options import References, ReferenceSource


class _Asked:
    def __init__(self, source: Path, output: Path, model: ModelOptions | None, options: Any):
        self.job = Job(source=source, output=output)
        self.options = options
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job if name in ("source", "output") else self.options, name)

    def fit(self, loaded: LoadedBackbone) -> LoadedBackbone:
        return loaded if self._model is None else replace(loaded, options=self._model)


class EnhanceOptions(_Asked):
    def __init__(
        self,
        *,
        source: Path,
        output: Path,
        reference: ReferenceSource | None = None,
        reference_fit: Any = "cover",
        model: ModelOptions | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source, output, model, RebuildOptions(**options))
        sources = () if reference is None else (reference,)
        self.references = References(sources=sources, fit=reference_fit)


class DecodeOptions(_Asked):
    def __init__(
        self,
        *,
        source: Path,
        output: Path,
        reference: Path | None = None,
        references: Path | None = None,
        reference_fit: Any = "cover",
        baseline: bool = False,
        model: ModelOptions | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source, output, model, PlainDecodeOptions(**options))
        sources = () if reference is None else (ReferenceSource(image=reference),)
        self.references = LatentReferences(
            references=References(sources=sources, folder=references, fit=reference_fit),
            baseline=baseline,
        )


class EncodeOptions(_Asked):
    def __init__(
        self, *, source: Path, output: Path, model: ModelOptions | None = None, **options: Any
    ) -> None:
        super().__init__(source, output, model, SourceOptions(**options))
        check_latents_name(output)


def enhance(asked: EnhanceOptions, loaded: LoadedBackbone, *callbacks: Any) -> Report:
    return enhancing.enhance(
        asked.job, asked.references, asked.options, asked.fit(loaded), *callbacks
    )


def plan_enhance(asked: EnhanceOptions, loaded: LoadedBackbone) -> Plan:
    return enhancing.plan_enhance(asked.job, asked.references, asked.options, asked.fit(loaded))


def decode(asked: DecodeOptions, loaded: LoadedBackbone, *callbacks: Any, **more: Any) -> Report:
    return decoding.decode(
        asked.job, asked.references, asked.options, asked.fit(loaded), *callbacks, **more
    )


def plan_decode(asked: DecodeOptions, loaded: LoadedBackbone) -> Plan:
    return decoding.plan_decode(asked.job, asked.references, asked.options, asked.fit(loaded))


def encode(asked: EncodeOptions, loaded: LoadedBackbone, *callbacks: Any) -> Report:
    return encoding.encode(asked.job, asked.options, asked.fit(loaded), *callbacks)


def plan_encode(asked: EncodeOptions, loaded: LoadedBackbone) -> Plan:
    return encoding.plan_encode(asked.job, asked.options, asked.fit(loaded))

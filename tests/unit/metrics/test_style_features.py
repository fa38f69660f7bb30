"""Style in the features of a trained network: it needs the package with the weights."""

from importlib.util import find_spec

import numpy as np
import pytest

from refvid.metrics.style_features import features_distance, load_style_features


@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="needs stlpips-pytorch")
def test_the_same_texture_elsewhere_is_near_and_another_is_far() -> None:
    features = load_style_features()
    assert features is not None
    random = np.random.RandomState(0)
    cells = np.kron(random.randint(0, 256, (32, 32, 3)), np.ones((4, 4, 1), int)).astype(np.uint8)
    rows = np.broadcast_to(np.arange(128)[:, None, None] // 5 % 2 * 200, (128, 128, 3))
    own, turned, other = (
        features.grams(p) for p in (cells, cells[::-1, ::-1].copy(), rows.astype(np.uint8))
    )
    assert features_distance(own, own) == 0
    assert features_distance(turned, own) < 0.5 * features_distance(other, own)


def test_without_the_package_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refvid.metrics.st_lpips.find_spec", lambda _: None)
    assert load_style_features() is None

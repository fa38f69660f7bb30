import pytest

from refvid.checkpoints.state_dict import (
    check_blocks,
    clean_key,
    clean_keys,
    compare_keys,
    count_blocks,
    unwrap,
)

BLOCK = "transformer.transformer.blocks.{}.attn1.to_q.weight"


def test_wrappings() -> None:
    weights = {"ae.a": 1}
    assert unwrap(weights) == weights
    assert unwrap({"state_dict": weights, "epoch": 3, "module": {}}) == weights
    assert unwrap({"module": weights, "optimizer": {}}) == weights
    for none in ([1], None, "text", {1: 2}, {"state_dict": {1: 2}}):
        with pytest.raises(ValueError, match=r"it holds|no names"):
            unwrap(none)


@pytest.mark.parametrize(
    "key",
    [
        "ae.decoder.conv_in.weight",
        "vae.decoder.conv_in.weight",
        "model.vae.decoder.conv_in.weight",
        "_forward_module.ae._orig_mod.decoder.conv_in.weight",
        "_forward_module.model.ae._orig_mod.decoder.conv_in.weight",
    ],
)
def test_prefixes(key: str) -> None:
    assert clean_key(key) == "ae.decoder.conv_in.weight"


def test_other_names_stay() -> None:
    for key in ("transformer.vae.x", "other.weight", "ae.model.x", "vaex.y"):
        assert clean_key(key) == key
    assert clean_key("model.transformer.x") == "transformer.x"


def test_losses_are_dropped_and_nothing_else() -> None:
    state = {
        "ae.a": 1,
        "_forward_module.loss.perceptual_loss.lin0.weight": 2,
        "loss_fn.net.x": 3,
        "losses.y": 4,
    }
    assert clean_keys(state) == {"ae.a": 1, "losses.y": 4}


def test_names_that_become_one() -> None:
    with pytest.raises(ValueError, match=r"ae\.a more than once"):
        clean_keys({"ae.a": 1, "vae.a": 2})


def test_blocks_are_counted() -> None:
    keys = [BLOCK.format(index) for index in range(30)]
    assert count_blocks([]) == 0
    assert count_blocks(keys) == 30
    check_blocks(keys[:10], 10)
    for wrong in (keys, keys[:9]):
        with pytest.raises(ValueError, match=f"{len(wrong)} blocks .* has 10"):
            check_blocks(wrong, 10)


def test_differences_are_listed() -> None:
    expected = {"a": (1,), "b": (2, 3), "c": (4,)}
    assert not compare_keys(expected, dict(expected))
    differences = compare_keys(expected, {"b": (3, 2), "c": (4,), "d": (), "e": ()})
    assert differences
    assert differences.describe() == (
        "1 missing (a); 2 unexpected (d, e); 1 of another shape (b (3, 2) instead of (2, 3))"
    )
    many = compare_keys({f"key{index}": () for index in range(20)}, {})
    assert many.describe().endswith("key11, and 8 more)")

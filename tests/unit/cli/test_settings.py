import pytest

from refvid.errors import OptionError
from refvid.settings import KEYS, Settings, config_path, load_settings


@pytest.fixture
def config(tmp_path):
    return tmp_path / "config.toml"


def test_defaults_without_a_file(tmp_path):
    # XDG_CONFIG_HOME has no say on Windows and macOS: move the file itself.
    empty = tmp_path / "empty.toml"
    empty.touch()
    assert load_settings({"REFVID_CONFIG": str(empty)}) == Settings()


def test_file_and_environment(config):
    config.write_text('device = "cuda:1"\ncrf = 18\nlog_level = "verbose"\n')
    settings = load_settings({"REFVID_CONFIG": str(config), "REFVID_CRF": "20.5"})
    assert settings == Settings(device="cuda:1", crf=20.5, log_level="verbose")


def test_empty_variable_is_no_variable(config):
    config.write_text('dtype = "fp32"\n')
    assert load_settings({"REFVID_CONFIG": str(config), "REFVID_DTYPE": " "}).dtype == "fp32"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("devise = 'cpu'", ["devise", "'device'"]),
        ("something = 1", ["something", "known keys"]),
        ("crf = 'low'", ["crf", "number"]),
        ("crf = true", ["crf", "number"]),
        ("codec = 264", ["codec", "text"]),
        ("dtype = 'fp8'", ["dtype", "bf16"]),
        ("log_level = 'loud'", ["log_level", "quiet"]),
        ("device = ''", ["device"]),
        ("[table]\nx = 1", ["table"]),
        ("device = ", ["TOML"]),
        ("crf = nan", ["nan"]),
        ("crf = " + "9" * 400, ["digits"]),
        ("crf = " + "9" * 5000, ["TOML"]),
        ("crf = 'nan'", ["crf", "number"]),
        ("crf = '" + "9" * 400 + "'", ["crf", "number"]),
        ("device = " + "[" * 50_000, ["nested"]),
        ("device = 2001-99-99", ["TOML"]),
        ("device" + ".a" * 50_000 + " = 1", ["nested"]),
        ("x" * 10_000 + " = 1", ["unknown key"]),
        ("device = 1" + "#" * 2**18, ["more than"]),
    ],
)
def test_unusable_files_are_named_with_their_key(config, text, words):
    config.write_text(text)
    with pytest.raises(OptionError) as caught:
        load_settings({"REFVID_CONFIG": str(config)})
    for word in [str(config), *words]:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_unusable_variable_is_named(config):
    config.touch()
    with pytest.raises(OptionError, match="REFVID_DTYPE"):
        load_settings({"REFVID_CONFIG": str(config), "REFVID_DTYPE": "fp8"})


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "9" * 5000, "low", "٣x"])
def test_a_number_that_is_none(config, text):
    config.touch()
    with pytest.raises(OptionError, match="REFVID_CRF must be a number"):
        load_settings({"REFVID_CONFIG": str(config), "REFVID_CRF": text})


def test_a_config_file_that_was_asked_for_must_exist(config):
    with pytest.raises(OptionError, match="REFVID_CONFIG"):
        load_settings({"REFVID_CONFIG": str(config)})


def test_unreadable_config(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        load_settings({"REFVID_CONFIG": str(tmp_path)})


def test_not_utf8(config):
    config.write_bytes(b'device = "\xff"')
    with pytest.raises(OptionError, match="cannot read"):
        load_settings({"REFVID_CONFIG": str(config)})


def test_usual_place():
    path = config_path({})
    assert path.name == "config.toml"
    assert path.parent.name == "refvid"


def test_every_key_is_a_setting():
    assert KEYS == ("device", "dtype", "model", "codec", "crf", "output", "log_level")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_as_editors_on_windows_write_them(config, encoding):
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    config.write_bytes(f'{mark}crf = 20\r\noutput = "ü/{{stem}}{{ext}}"\r\n'.encode(encoding))
    settings = load_settings({"REFVID_CONFIG": str(config)})
    assert (settings.crf, settings.output) == (20, "ü/{stem}{ext}")


def test_a_crf_below_0_is_named_with_its_place(config):
    config.write_text("crf = -5")
    with pytest.raises(OptionError, match=r"config\.toml: crf must be a number from 0 on"):
        load_settings({"REFVID_CONFIG": str(config)})

import importlib.metadata
import socket

import pytest
from typer.testing import CliRunner

from refvid.cli.app import app
from refvid.errors import InputError, OptionError, OutputError
from refvid.page.serve import check_place


@pytest.fixture
def gradio(monkeypatch):
    """Pretends that a version of Gradio is installed, or that none is."""

    def pretend(found):
        def version(_name):
            if found is None:
                raise importlib.metadata.PackageNotFoundError
            return found

        monkeypatch.setattr("refvid.page.serve.importlib.metadata.version", version)

    pretend("6.31.0")
    return pretend


def test_the_missing_extra_is_named(gradio, tmp_path):
    gradio(None)
    result = CliRunner().invoke(app, ["ui", "--root", str(tmp_path)])
    assert result.exit_code == 2
    assert "The page needs Gradio. Run: pip install gradio" in result.stderr


def test_an_old_one(gradio, tmp_path):
    gradio("5.49.1")
    with pytest.raises(OptionError, match="too old"):
        check_place(tmp_path, "127.0.0.1", 7860)


def test_a_missing_folder(gradio, tmp_path):
    with pytest.raises(InputError, match="--root"):
        check_place(tmp_path / "none", "127.0.0.1", 7860)


def test_a_folder_that_cannot_be_written(gradio, unprivileged):
    closed = unprivileged / "closed"
    closed.mkdir(0o500)
    with pytest.raises(OutputError, match="Cannot write into"):
        check_place(closed, "127.0.0.1", 7860)


def test_a_port_in_use(gradio, tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(OutputError, match="Choose another with --port"),
    ):
        check_place(tmp_path, "127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine(gradio, tmp_path, host):
    with pytest.raises(OutputError, match="another address with --host"):
        check_place(tmp_path, host, 7860)

"""Signing results, with a self-made certificate and the reader of c2pa itself."""

from __future__ import annotations

import datetime
import json

import pytest

from refvid.errors import OptionError
from refvid.media.credentials import Credentials, make_credentials, read_credentials
from refvid.media.encoding import Encoding
from refvid.media.mp4_boxes import C2PA, uuid_boxes
from refvid.media.origin_marks import Origin, describe_origin, read_origin_marks
from refvid.media.output_plan import plan_output
from refvid.media.source_type import SourceType
from refvid.media.video_info import read_video_info

c2pa = pytest.importorskip("c2pa", reason="signing needs c2pa-python")
x509 = pytest.importorskip("cryptography.x509", reason="certificates are made by cryptography")


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    """A root, and a signer that it vouches for."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("signer")
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name, key, issuer, issuer_key, *, is_root):
        usage = dict.fromkeys(
            [
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "key_cert_sign",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ],
            False,
        ) | ({"key_cert_sign": True} if is_root else {"digital_signature": True})
        names = [
            x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, each)])
            for each in (name, issuer)
        ]
        made = (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if not is_root:
            protection = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            made = made.add_extension(protection, critical=True)
        return made.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Root", root_key, "Root", root_key, is_root=True)
    signer = certificate("Studio", key, "Root", root_key, is_root=False)
    (folder / "chain.pem").write_bytes(signer + root)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Credentials(certificate=folder / "chain.pem", key=folder / "key.pem")


def sign(samples, credentials, source, output, source_type=SourceType.ENHANCED):
    origin = Origin(comment="made by refvid", how="by hand", source_type=source_type, source=source)
    samples.copy(
        source, output, encoding=Encoding(credentials=credentials), origin=origin, overwrite=True
    )
    with c2pa.Reader(output) as reader:
        return json.loads(reader.json()), reader.get_validation_state()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_signed_result_says_what_was_done(samples, credentials, suffix):
    source = samples.make("clip.mp4", frames=5)
    output = samples.folder / f"signed{suffix}"
    store, state = sign(samples, credentials, source, output)
    assert state == "Valid"  # its root is known to nobody, so it is not "Trusted"
    manifest = store["manifests"][store["active_manifest"]]
    actions = {
        action["action"]: action
        for assertion in manifest["assertions"]
        for action in assertion["data"].get("actions", [])
    }
    assert actions["c2pa.edited"]["digitalSourceType"] == SourceType.ENHANCED.uri
    assert actions["c2pa.edited"]["description"] == "by hand"
    assert "c2pa.opened" in actions
    assert manifest["ingredients"][0]["title"] == "clip.mp4"
    found = read_credentials(output) or {}
    assert (found["signer"], found["state"], found["generator"]) == ("Studio", "Valid", "refvid")
    assert describe_origin(output, {})["credentials"] == found
    # What libav reads is as before.
    assert read_video_info(output).metadata["comment"] == "made by refvid"
    assert read_origin_marks(output, {}).source_type == "algorithmicallyEnhanced"


def test_credentials_of_the_source_are_kept_within(samples, credentials):
    first, second = samples.folder / "first.mp4", samples.folder / "second.mp4"
    sign(samples, credentials, samples.make("clip.mp4", frames=5), first)
    store, state = sign(samples, credentials, first, second)
    assert state == "Valid"
    manifest = store["manifests"][store["active_manifest"]]
    assert manifest["ingredients"][0]["active_manifest"] in store["manifests"]


def test_what_was_made_of_no_media_was_created(samples, credentials):
    clip, output = samples.make("clip.mp4", frames=5), samples.folder / "new.mp4"
    origin = Origin(comment="refvid", how="decoded", source_type=SourceType.GENERATED)
    samples.copy(clip, output, encoding=Encoding(credentials=credentials), origin=origin)
    with c2pa.Reader(output) as reader:
        assert "c2pa.created" in reader.json()
        assert SourceType.GENERATED.uri in reader.json()


def test_losing_credentials_is_said(samples, credentials):
    signed = samples.folder / "signed.mp4"
    sign(samples, credentials, samples.make("clip.mp4", frames=5), signed)
    info = read_video_info(signed)
    out = samples.folder / "out.mp4"
    assert any("C2PA" in note for note in plan_output(out, info, Encoding()).notes)
    signing = Encoding(credentials=credentials)
    assert not any("C2PA" in note for note in plan_output(out, info, signing).notes)


def test_a_changed_file_is_not_valid(samples, credentials):
    output = samples.folder / "signed.mp4"
    sign(samples, credentials, samples.make("clip.mp4", frames=5), output)
    assert C2PA in uuid_boxes(output)
    content = bytearray(output.read_bytes())
    content[content.index(b"mdat") + 200] ^= 255
    output.write_bytes(content)
    assert (read_credentials(output) or {})["state"] == "Invalid"


class TestRefusals:
    def test_containers(self, samples, credentials):
        info = read_video_info(samples.make("clip.mp4", frames=2))
        for name in ("out.mkv", "out_%d.png"):
            with pytest.raises(OptionError, match=r"\.mp4 or \.mov"):
                plan_output(samples.folder / name, info, Encoding(credentials=credentials))

    def test_one_without_the_other(self, tmp_path):
        with pytest.raises(OptionError, match="needs both"):
            make_credentials(tmp_path / "chain.pem", None)

    def test_files(self, tmp_path, credentials):
        with pytest.raises(OptionError, match="absent"):
            Credentials(certificate=tmp_path / "absent", key=credentials.key).check("mp4")
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        with pytest.raises(OptionError, match="PEM"):
            Credentials(certificate=broken, key=credentials.key).check("mp4")
        with pytest.raises(OptionError, match="PEM"):
            Credentials(certificate=credentials.certificate, key=broken).check("mp4")

    def test_without_the_package(self, monkeypatch, credentials):
        monkeypatch.setattr("refvid.media.credentials.can_sign", lambda: False)
        with pytest.raises(OptionError, match="pip install c2pa-python"):
            credentials.check("mp4")

    def test_signing_without_provenance(self, credentials):
        for unmarked in ({"metadata": False}, {"provenance": "none"}):
            with pytest.raises(OptionError, match="without provenance"):
                Encoding(credentials=credentials, **unmarked)

    def test_a_failure_leaves_nothing(self, samples, credentials, monkeypatch):
        source, output = samples.make("clip.mp4", frames=5), samples.folder / "signed.mp4"
        before = sorted(samples.folder.iterdir())

        def refuse(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Credentials, "sign", refuse)
        with pytest.raises(Exception, match="no space is left"):
            sign(samples, credentials, source, output)
        assert sorted(samples.folder.iterdir()) == before

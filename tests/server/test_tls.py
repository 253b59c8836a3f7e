"""The certificate of --https: what is in it, when it is made anew, which files do not do."""

from __future__ import annotations

import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sightline.errors import ConfigError, ServerError
from sightline.server.config import ServeConfig
from sightline.server.tls import machine_names, make_certificate, prepare_certificate

NAMES = ("localhost", "127.0.0.1", "::1", "192.168.1.7", "desk", "desk.local")


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_certificate_names_the_machine(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, NAMES)
    leaf = x509.load_pem_x509_certificate(only_file(tmp_path).read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    assert addresses | set(names.get_values_for_type(x509.DNSName)) == set(NAMES)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=397)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    assert bytes.fromhex(made.fingerprint.replace(":", "")) == leaf.fingerprint(hashes.SHA256())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    old = os.umask(0)
    try:
        make_certificate(folder, NAMES)
    finally:
        os.umask(old)
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_kept_until_the_names_change(tmp_path: Path) -> None:
    first = make_certificate(tmp_path, NAMES)
    assert make_certificate(tmp_path, reversed(NAMES)).fingerprint == first.fingerprint
    moved = make_certificate(tmp_path, (*NAMES, "10.0.0.3"))
    assert moved.fingerprint != first.fingerprint
    assert make_certificate(tmp_path, NAMES).fingerprint == first.fingerprint  # back again


@pytest.mark.parametrize("damage", [b"", b"no certificate", None])
def test_a_damaged_one_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    first = make_certificate(tmp_path, NAMES)
    path = only_file(tmp_path)
    without_key = path.read_bytes().partition(b"-----BEGIN PRIVATE")[0]
    path.write_bytes(without_key if damage is None else damage)
    assert make_certificate(tmp_path, NAMES).fingerprint != first.fingerprint


def write_pair(folder: Path, begin: datetime, days: int = 10) -> tuple[Path, Path, Any]:
    """A certificate and its key as files, made here."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    certificate_path, key_path = folder / "c.pem", folder / "k.pem"
    certificate_path.write_bytes(leaf.public_bytes(Encoding.PEM))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate_path, key_path, key


def test_one_that_runs_out_is_made_anew(tmp_path: Path) -> None:
    first = make_certificate(tmp_path, NAMES)
    path = only_file(tmp_path)
    certificate, key, _ = write_pair(
        tmp_path.parent / "short", datetime.now(UTC) - timedelta(days=1)
    )
    path.write_bytes(certificate.read_bytes() + key.read_bytes())
    renewed = make_certificate(tmp_path, NAMES)
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    assert renewed.fingerprint != first.fingerprint
    assert leaf.not_valid_after_utc - datetime.now(UTC) > timedelta(days=390)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot keep a certificate"):
        make_certificate(tmp_path / "file" / "tls", NAMES)


def given(certificate: object, key: object) -> Any:
    return prepare_certificate(ServeConfig(https=True, certificate=str(certificate), key=str(key)))


def test_given_files(tmp_path: Path) -> None:
    certificate, key, _ = write_pair(tmp_path, datetime.now(UTC) - timedelta(days=1))
    assert given(certificate, key).warning is None
    expired = write_pair(tmp_path / "old", datetime.now(UTC) - timedelta(days=20))
    assert "expired on" in given(*expired[:2]).warning
    early = write_pair(tmp_path / "early", datetime.now(UTC) + timedelta(days=2))
    assert "counts from" in given(*early[:2]).warning


def test_given_files_that_do_not_do(tmp_path: Path) -> None:
    certificate, key, private = write_pair(tmp_path, datetime.now(UTC))
    _, other_key, _ = write_pair(tmp_path / "other", datetime.now(UTC))
    text, locked, none = tmp_path / "text", tmp_path / "locked", tmp_path / "none"
    text.write_text("hello")
    locked.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    for arguments, message in (
        ((none, key), f"certificate {none} does not exist"),
        ((certificate, none), f"key {none} does not exist"),
        ((text, key), f"certificate {text} holds no certificate"),
        ((key, key), f"certificate {key} holds no certificate"),
        ((certificate, text), f"key {text} holds no private key"),
        ((certificate, certificate), f"key {certificate} holds no private key"),
        ((certificate, locked), f"key {locked} is encrypted"),
        ((certificate, other_key), f"key {other_key} does not belong to the certificate"),
        ((tmp_path, key), f"certificate {tmp_path} cannot be read"),
    ):
        with pytest.raises(ServerError) as error:
            given(*arguments)
        assert message in str(error.value)


@pytest.mark.parametrize(
    "settings", [{"certificate": "c"}, {"key": "k"}, {"https": True, "certificate": "c"}]
)
def test_settings_that_contradict(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--certificate"):
        prepare_certificate(ServeConfig(**settings))


def test_no_https_no_certificate() -> None:
    assert prepare_certificate(ServeConfig()) is None


def test_names_of_this_machine() -> None:
    names = machine_names("192.168.77.5")
    assert {"localhost", "127.0.0.1", "::1", "192.168.77.5"} <= names
    assert not {"0.0.0.0", "::", ""} & machine_names("0.0.0.0")

"""The certificate of --https: one made for this machine's addresses, or the one given.

A made one is kept in the cache, one for each set of addresses, so that a browser that was told
once to trust it is not asked again at each start.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sightline.errors import ConfigError, ServerError
from sightline.server.config import ServeConfig
from sightline.zoo import cache_dir

_VALID = timedelta(days=397)  # the longest that browsers of the day take
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SLACK = timedelta(hours=1)
_DNS_NAME = re.compile(r"[A-Za-z0-9._-]{1,63}")
# Asking for the way to these sends nothing; documentation's and the private networks (RFC 5737,
# RFC 1918), since a machine may have one address for each.
_TARGETS = ("192.0.2.1", "10.0.0.1", "172.16.0.1", "192.168.0.1")


@dataclass(frozen=True)
class Certificate:
    """What the server shows. fingerprint: SHA-256, as browsers print it. warning: or None."""

    context: ssl.SSLContext
    fingerprint: str
    warning: str | None = None


def prepare_certificate(config: ServeConfig) -> Certificate | None:
    """The certificate that `config` asks for; None without https.

    Raises ConfigError for settings that contradict each other, ServerError for files that do not
    do.
    """
    if not config.https:
        if config.certificate or config.key:
            raise ConfigError("--certificate and --key are for --https: add it")
        return None
    if (config.certificate is None) != (config.key is None):
        raise ConfigError("--certificate and --key belong together: give both, or neither")
    if config.certificate is not None and config.key is not None:
        return _given(Path(config.certificate), Path(config.key))
    return make_certificate(cache_dir() / "tls", machine_names(config.host))


def machine_names(host: str) -> frozenset[str]:
    """The names and addresses by which this machine, and a server on `host`, may be called."""
    names = {"localhost", "127.0.0.1", "::1", *lan_addresses()}
    own = socket.gethostname().split(".")[0]
    if _DNS_NAME.fullmatch(own):
        names |= {own.lower(), f"{own.lower()}.local"}
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not listened on
        names.add(host.lower())
    return frozenset(names)


def lan_addresses() -> list[str]:
    """This machine's IPv4 addresses in the networks it can reach, the usual way out first."""
    found: dict[str, None] = {}
    for target in _TARGETS:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue  # no way there
            found[str(probe.getsockname()[0])] = None
    return [each for each in found if not ip_address(each).is_loopback]


def make_certificate(folder: Path, names: Iterable[str]) -> Certificate:
    """The certificate for these names that is kept in `folder`, made anew when it is due.

    Certificate and key lie in one file, which only its owner can read.
    """
    wanted = sorted(set(names))
    path = folder / f"{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:16]}.pem"
    now = datetime.now(UTC)
    try:
        kept = _read_certificate(path)
        if kept.not_valid_after_utc - now > _RENEW_BEFORE and kept.not_valid_before_utc <= now:
            return _loaded(path, path, kept)
    except ServerError:
        pass  # none there, or none that can be used: it is made
    certificate, key = _sign(wanted, now)
    pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    try:
        _write_secret(path, pem)
    except OSError as error:
        raise ServerError(f"cannot keep a certificate in {folder}: {error.strerror}") from error
    return _loaded(path, path, certificate)


def _sign(names: list[str], now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sightline on this machine")])
    begin = now - _CLOCK_SLACK
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + _VALID)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in names]), False)
        # It can vouch for no other certificate, whoever is told to trust it.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_secret(path: Path, content: bytes) -> None:
    """Put the file in place in one step, never readable by others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _given(certificate: Path, key: Path) -> Certificate:
    """The files of --certificate and --key, checked: ssl's own messages name neither."""
    leaf = _read_certificate(certificate)
    try:
        private = load_pem_private_key(_read(key, "key"), password=None)
    except TypeError as error:
        raise ServerError(f"the key {key} is encrypted; one without a passphrase is needed") from (
            error
        )
    except ValueError as error:
        raise ServerError(f"the key {key} holds no private key in PEM form") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise ServerError(f"the key {key} does not belong to the certificate {certificate}")
    now = datetime.now(UTC)
    warning = None
    if leaf.not_valid_after_utc <= now:
        warning = f"the certificate {certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
    elif leaf.not_valid_before_utc > now:
        warning = f"the certificate {certificate} counts from {leaf.not_valid_before_utc:%Y-%m-%d}"
    return _loaded(certificate, key, leaf, warning)


def _read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file: the server's own. Raises ServerError."""
    try:
        return x509.load_pem_x509_certificates(_read(path, "certificate"))[0]
    except ValueError as error:
        raise ServerError(f"the certificate {path} holds no certificate in PEM form") from error


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ServerError(f"the {what} {path} does not exist") from error
    except OSError as error:
        raise ServerError(f"the {what} {path} cannot be read: {error.strerror}") from error


def _loaded(
    certificate: Path, key: Path, leaf: x509.Certificate, warning: str | None = None
) -> Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ServerError(f"the certificate {certificate} cannot be used: {error.reason}") from (
            error
        )
    return Certificate(context, leaf.fingerprint(hashes.SHA256()).hex(":").upper(), warning)

"""Records come back as written, by TensorBoard's reader too; damage costs what it touches."""

from __future__ import annotations

import gzip
import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New, masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from sightline.data.formats.record_file import (
    checksum,
    looks_like_records,
    read_records,
    write_record,
)

RECORDS = st.lists(st.binary(max_size=40), max_size=6)
# Each example writes its own file over the last one's.
QUICK = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100
)


def framed(*records: bytes) -> bytes:
    file = BytesIO()
    for record in records:
        write_record(file, record)
    return file.getvalue()


def read(path: Path, data: bytes) -> list[tuple[int, bytes | str]]:
    path.unlink(missing_ok=True)  # a new file: the last one may still be mapped
    path.write_bytes(data)
    return [(start, d if isinstance(d, str) else bytes(d)) for start, d in read_records(path)]


@QUICK
@given(records=RECORDS)
def test_records_come_back(tmp_path: Path, records: list[bytes]) -> None:
    found = read(tmp_path / "a", framed(*records))
    assert [data for _, data in found] == records
    assert [start for start, _ in found] == [len(framed(*records[:i])) for i in range(len(records))]


@QUICK
@given(records=RECORDS)
def test_the_same_bytes_as_tensorboard_writes(records: list[bytes]) -> None:
    file = BytesIO()
    writer = RecordWriter(file)
    for record in records:
        writer.write(record)
    assert file.getvalue() == framed(*records)


@QUICK
@given(records=RECORDS)
def test_tensorboard_reads_it(tmp_path: Path, records: list[bytes]) -> None:
    (tmp_path / "a").write_bytes(framed(*records))
    reader = PyRecordReader_New(str(tmp_path / "a"))
    for record in records:
        reader.GetNext()
        assert reader.record() == record
    with pytest.raises(Exception, match="No more events"):
        reader.GetNext()


def test_the_checksum_is_crc32c() -> None:
    # RFC 3720, appendix B.4
    assert checksum(bytes(32)) == 0x8A9136AA
    assert checksum(b"\xff" * 32) == 0x62A8AB43
    assert checksum(bytes(range(32))) == 0x46DD794E


def test_a_record_longer_than_a_piece(tmp_path: Path) -> None:
    record = bytes(range(256)) * 12_000  # 3 MB
    data = framed(record, b"after")
    assert struct.unpack("<I", data[12 + len(record) :][:4]) == (masked_crc32c(record),)
    assert [found for _, found in read(tmp_path / "a", data)] == [record, b"after"]
    broken = bytearray(data)
    broken[2_500_000] ^= 1
    assert [len(found) for _, found in read(tmp_path / "a", bytes(broken))][1] == len("after")
    assert "checksum is wrong" in str(read(tmp_path / "a", bytes(broken))[0][1])


def test_damage_costs_one_record_or_what_follows(tmp_path: Path) -> None:
    records = [b"first", b"second", b"third"]
    data, second = framed(*records), len(framed(b"first"))
    for place in range(second, second + 12 + len(b"second") + 4):
        broken = bytearray(data)
        broken[place] ^= 0x10
        found = read(tmp_path / "a", bytes(broken))
        assert found[0] == (0, b"first")
        assert found[1][0] == second
        if place < second + 12:  # its length or that one's checksum: nothing to go on by
            assert len(found) == 2
            assert "nothing after it can be read" in str(found[1][1])
        else:
            assert found[1][1] == "its checksum is wrong; left out"
            assert found[2][1] == b"third"


def test_a_file_cut_anywhere_keeps_what_is_whole(tmp_path: Path) -> None:
    records = [b"first", b"", b"third"]
    data = framed(*records)
    ends = [len(framed(*records[:count])) for count in range(4)]
    for length in range(len(data)):
        found = read(tmp_path / "a", data[:length])
        whole = max(count for count in range(4) if ends[count] <= length)
        assert [d for _, d in found[:whole]] == records[:whole]
        assert len(found) == whole + (length not in ends)
        assert all(isinstance(d, str) and "is lost" in d for _, d in found[whole:])


@pytest.mark.parametrize("length", [100, 2**31, 2**40, 2**63, 2**64 - 1])
def test_a_length_beyond_the_file(tmp_path: Path, length: int) -> None:
    said = struct.pack("<Q", length)
    data = framed(b"good") + said + struct.pack("<I", masked_crc32c(said)) + bytes(50)
    (_, good), (start, fault) = read(tmp_path / "a", data)
    assert (good, start) == (b"good", 20)
    assert fault == f"it has {length} bytes, the file ends after 46; the rest is lost"


def test_compressed_files_are_told(tmp_path: Path) -> None:
    ((_, fault),) = read(tmp_path / "a", gzip.compress(framed(b"a")))
    assert "gzip; unpack it first" in str(fault)


@QUICK
@given(junk=st.binary(min_size=1, max_size=200))
def test_arbitrary_bytes_after_a_good_record(tmp_path: Path, junk: bytes) -> None:
    first, *others = read(tmp_path / "a", framed(b"good") + junk)
    assert first == (0, b"good")
    starts = [start for start, _ in others]
    assert starts[0] == 20
    assert starts == sorted(set(starts))
    # Only by a checksum of 32 bits hit by chance is there more than one fault in junk.
    assert len(others) == 1 and isinstance(others[0][1], str)


def test_what_looks_like_records(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data, expected in [(framed(b"a"), True), (b"", False), (b"PK\x03\x04" * 9, False)]:
        path.write_bytes(data)
        assert looks_like_records(path) is expected

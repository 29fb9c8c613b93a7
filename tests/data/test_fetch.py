"""Data sets come whole, or not at all, whatever the server does."""

import gzip
import hashlib
import io
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest

from lit_delays.cli import data as command
from lit_delays.cli.main import main
from lit_delays.data.storage import download
from lit_delays.data.storage.sources import FETCHABLE, GSC, SOURCES, Archive, Source
from tests.data.server import begins, make_certificate, says, serving, whole

CONTENT = np.random.default_rng(0).bytes(300_000)
RANGES = {"Accept_Ranges": "bytes", "ETag": '"one"'}


def packed(name="digits.h5", content=CONTENT, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, method)
    return file.getvalue()


PACKED = packed()


def archive_of(content=PACKED, name="digits.h5.zip", unpacked="digits.h5", max_unpacked=10**6):
    digest = f"md5:{hashlib.md5(content).hexdigest()}"
    return Archive(name, digest, unpacked, 10**6, max_unpacked)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the server's certificate")
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "PATIENCE", 0.4)
    with serving(*certificate) as started:
        started.answers["/digits.h5.zip"] = [whole(PACKED)]
        yield started


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def run(server, folder, monkeypatch, capfd):
    """The command, for an archive; gives what it says on success, or its one line of error."""

    def run(archive=None, mirror=None):
        source = Source("Digits", "https://nowhere.invalid/", (archive or archive_of(),))
        monkeypatch.setitem(FETCHABLE, "shd", source)
        code = 0
        try:
            main(["data", "fetch", "shd", "--data-dir", str(folder), "--mirror", mirror or server.address])
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        if not code:
            return out
        assert code == 2
        assert out == ""
        (line,) = [line for line in err.splitlines() if line]
        return line.removeprefix("lit_delays: error: ")

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_came(folder):
    assert (folder / "digits.h5").read_bytes() == CONTENT
    assert names(folder) == ["digits.h5", "digits.h5.json"]


def assert_nothing_came(folder, *but):
    assert names(folder) == sorted(but)


def ranges(server):
    return [(headers.get("Range"), headers.get("If-Range")) for _, headers in server.asked]


def test_a_file_comes_with_a_receipt(run, folder, server):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert run() == f"{folder}/digits.h5: fetched; bytes 300000, sha256 {digest}\n"
    assert_came(folder)
    receipt = json.loads((folder / "digits.h5.json").read_text())
    assert receipt == {
        "bytes": 300_000,
        "sha256": digest,
        "archive": archive_of().digest,
        "address": server.address + "digits.h5.zip",
    }


def test_what_is_there_is_compared_with_its_receipt(run, folder, server):
    run()
    assert "there and whole; bytes 300000" in run()
    (folder / "digits.h5").write_bytes(CONTENT[:-1] + b"?")
    rule = f"{folder}/digits.h5 is no longer what was fetched; move it away and repeat the command."
    assert run() == rule
    assert len(server.asked) == 1


def test_a_file_of_ones_own_is_left_alone(run, folder, server):
    folder.mkdir()
    (folder / "digits.h5").write_text("mine")
    assert run() == f"{folder}/digits.h5: there, but not fetched by this command; left as it is\n"
    assert (folder / "digits.h5").read_text() == "mine"
    assert server.asked == []


def test_a_download_that_breaks_off_goes_on(run, folder, server):
    first = begins(PACKED[:100_000], len(PACKED), **RANGES)
    server.answers["/digits.h5.zip"] = [first, whole(PACKED)]
    run()
    assert_came(folder)
    assert ranges(server) == [(None, None), ("bytes=100000-", '"one"')]


def test_a_download_goes_on_with_the_next_command(run, folder, server):
    server.answers["/digits.h5.zip"] = [begins(PACKED[:100_000], len(PACKED), **RANGES), says(503)]
    said = "the server answers 503 Service Unavailable; repeat the command to go on."
    assert run() == f"cannot get {server.address}digits.h5.zip: {said}"
    assert_nothing_came(folder, "digits.h5.zip.part", "digits.h5.zip.part.mark")
    server.answers["/digits.h5.zip"] = [whole(PACKED)]
    run()
    assert_came(folder)
    assert ranges(server)[-1] == ("bytes=100000-", '"one"')


def test_a_download_that_came_whole_before_the_end_is_not_asked_for_again(run, folder, server):
    folder.mkdir()
    (folder / "digits.h5.zip.part").write_bytes(PACKED)
    (folder / "digits.h5.zip.part.mark").write_text('"one"')
    run()
    assert_came(folder)
    assert server.asked == []


OTHER_TURNS = {
    "no parts": [begins(PACKED[:100_000], len(PACKED)), whole(PACKED)],
    "another file": [begins(PACKED[:100_000], len(PACKED), **RANGES), whole(PACKED, tag='"two"')],
    "wrong part": [
        begins(PACKED[:100_000], len(PACKED), **RANGES),
        says(206, Content_Range="bytes 5-9/10"),
        whole(PACKED),
    ],
    "other bytes": [
        begins(b"?" * 100_000, len(PACKED), **RANGES),
        whole(PACKED),
        whole(PACKED),
    ],
    "more than there is": [begins(PACKED + b"more", **RANGES), says(416), whole(PACKED)],
    "busy": [says(503), says(429), says(500), whole(PACKED)],
    "no answer": [lambda handler: None, whole(PACKED)],
    "nonsense": [lambda handler: handler.wfile.write(b"SPAM\r\n\r\n"), whole(PACKED)],
    "a redirect": [lambda handler: handler.head(302, Location="/elsewhere", Content_Length=10**12)],
}


@pytest.mark.parametrize("turns", OTHER_TURNS)
def test_a_server_with_a_bad_moment_gives_the_file_in_the_end(turns, run, folder, server):
    server.answers |= {"/digits.h5.zip": list(OTHER_TURNS[turns]), "/elsewhere": [whole(PACKED)]}
    run()
    assert_came(folder)


def stall(handler):
    time.sleep(1.2)


def drip(handler):
    for _ in range(60):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def drip_head(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    drip(handler)


def drip_status(handler):
    for byte in b"HTTP/1.1 200 " + b"O" * 60:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def continue_without_end(handler):
    for _ in range(10**6):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def heads_without_end(handler):
    handler.wfile.write(b"HTTP/1.1 100 Continue\r\nX-Drip: ")
    drip(handler)


def drip_length_of_chunk(handler):
    handler.head(200, Transfer_Encoding="chunked", **RANGES)
    handler.wfile.write(b"10;")
    drip(handler)


def trailer_without_end(handler):
    handler.head(200, Transfer_Encoding="chunked", **RANGES)
    handler.wfile.write(b"10\r\n" + bytes(16) + b"\r\n0\r\n")
    for _ in range(10**6):
        handler.wfile.write(b"X-Trailer: x\r\n" * 100)


def pour(handler):
    handler.head(200, Transfer_Encoding="chunked", **RANGES)
    for _ in range(100):
        handler.wfile.write(b"10000\r\n" + bytes(2**16) + b"\r\n")


KEPT = ("digits.h5.zip.part", "digits.h5.zip.part.mark")
BAD = {
    "not found": ([says(404)], "cannot get {}: the server answers 404 Not Found; check --mirror.", ()),
    "forbidden": ([says(403)], "cannot get {}: the server answers 403 Forbidden; check --mirror.", ()),
    "stall": (
        [begins(PACKED[:99], then=stall, **RANGES)],
        "cannot get {}: no byte came for 0.4 s; repeat the command to go on.",
        KEPT,
    ),
    "stall at once": ([stall], "cannot get {}: no byte came for 0.4 s; check the network and --mirror.", ()),
    "drip of a head": (
        [drip_head],
        "cannot get {}: no whole answer came within 0.4 s; check the network and --mirror.",
        (),
    ),
    "drip of a status": (
        [drip_status],
        "cannot get {}: no whole answer came within 0.4 s; check the network and --mirror.",
        (),
    ),
    "continue without end": (
        [continue_without_end],
        "cannot get {}: no whole answer came within 0.4 s; check the network and --mirror.",
        (),
    ),
    "drip of a head of continue": (
        [heads_without_end],
        "cannot get {}: no whole answer came within 0.4 s; check the network and --mirror.",
        (),
    ),
    "drip of a chunk's length": (
        [drip_length_of_chunk],
        "cannot get {}: no whole answer came within 0.4 s; check the network and --mirror.",
        (),
    ),
    "trailer without end": (
        [trailer_without_end],
        "cannot get {}: no whole answer came within 0.4 s; repeat the command to go on.",
        KEPT,
    ),
    "drip": (
        [begins(b"", 10**6, then=drip, **RANGES)],
        "cannot get {}: the server is too slow; repeat the command to go on.",
        KEPT,
    ),
    "cut": (
        [begins(PACKED[:99], len(PACKED))],
        f"cannot get {{}}: the connection ended after 99 of {len(PACKED):,} bytes; check the network",
        (),
    ),
    "too short a length": (
        [begins(PACKED, 1000, **RANGES)],
        "{} is not the file we know, and was not kept; check --mirror.",
        (),
    ),
    "too long a length": (
        [begins(PACKED, 10**12, **RANGES)],
        "the server promises 1,000,000,000,000 bytes, above the limit of 1,000,000; refused.",
        (),
    ),
    "wrong file": (
        [whole(packed(content=b"evil"))],
        "{} is not the file we know, and was not kept; check --mirror.",
        (),
    ),
    "flood": ([pour], "the server sends more than the limit of 1,000,000 bytes; nothing was kept.", ()),
    "plain http": (
        [says(302, Location="http://localhost/digits.h5.zip")],
        "{} leads away from https, and was not followed; check --mirror.",
        (),
    ),
    "a file of this machine": (
        [says(301, Location="file:///etc/passwd")],
        "cannot get {}: the server answers 301 Moved Permanently; check --mirror.",
        (),
    ),
    "round and round": (
        [says(307, Location="/digits.h5.zip")],
        "cannot get {}: the server answers 307 Temporary Redirect; check --mirror.",
        (),
    ),
    "nothing": (
        [says(204)],
        "cannot get {}: the server answers 204 where it should not; check the network",
        (),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_server_is_one_line_and_no_file(case, run, folder, server):
    turns, sentence, kept = BAD[case]
    server.answers["/digits.h5.zip"] = turns
    began = time.monotonic()
    assert run().startswith(sentence.format(server.address + "digits.h5.zip"))
    assert time.monotonic() - began < 10  # four attempts of 0.4 s
    assert_nothing_came(folder, *kept)


def test_redirects_share_one_deadline(run, server):
    for step in range(5):
        following = f"/{step + 1}" if step < 4 else "/digits.h5.zip"

        def answer(handler, following=following):
            time.sleep(0.25)
            handler.head(302, Location=following, Content_Length=0)

        server.answers[f"/{step}"] = [answer]
    server.answers["/digits.h5.zip"] = [says(302, Location="/0")]
    assert run().endswith(" 0.4 s; check the network and --mirror.")
    assert not any(path == "/2" for path, _ in server.asked)


def test_no_network_is_one_line(run, folder, server):
    said = run(mirror="https://localhost:1/")
    assert re.fullmatch(
        r"cannot get https://localhost:1/digits.h5.zip: .*; check the network and --mirror\.", said
    )
    assert_nothing_came(folder)


def test_a_server_that_nobody_vouches_for_is_not_trusted(run, folder, server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    assert run().startswith("cannot trust localhost:")
    assert_nothing_came(folder)
    assert server.asked == []


def test_a_mirror_must_be_secure(run, folder):
    assert run(mirror="http://localhost/") == "`--mirror` must start with https://, got 'http://localhost/'."
    assert not folder.exists()


BAD_ARCHIVES = {
    "bomb": (
        packed(content=bytes(10**7), method=zipfile.ZIP_DEFLATED),
        "digits.h5.zip unpacks to more than 1,000,000 bytes; refused.",
    ),
    "other members": (
        packed("../../digits.txt"),
        "digits.h5.zip does not hold digits.h5; it is not the archive that it should be.",
    ),
    "damaged": (PACKED[:200] + b"?" + PACKED[201:], "digits.h5.zip is damaged"),
    "no archive": (b"spikes", "digits.h5.zip is damaged"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_a_bad_archive_is_one_line_and_no_file(case, run, folder, server):
    content, sentence = BAD_ARCHIVES[case]
    server.answers["/digits.h5.zip"] = [whole(content)]
    assert run(archive_of(content)).startswith(sentence)
    assert not set(names(folder)) - set(KEPT)


def test_a_member_goes_where_we_say(run, folder, server, tmp_path):
    content = packed("../../elsewhere/digits.h5")
    server.answers["/digits.h5.zip"] = [whole(content)]
    run(archive_of(content))
    assert_came(folder)
    assert names(tmp_path) == ["data"]


WORDS = {
    "./LICENSE": b"CC BY",
    "./validation_list.txt": b"yes/a_nohash_0.wav",
    "./yes/a_nohash_0.wav": b"RIFF",
    "no/b_nohash_1.wav": b"RIFF",
    "_background_noise_/white_noise.wav": b"RIFF",
    "_background_noise_/README.md": b"text",
}


def tarred(members=WORDS, *others):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in others:
            archive.addfile(entry)
    return gzip.compress(file.getvalue(), mtime=0)


def entry(name, kind, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def fetch_words(run, server, content, **changes):
    server.answers["/words.tar.gz"] = [whole(content)]
    return run(archive_of(content, "words.tar.gz", "words", **changes))


def test_recordings_become_a_folder(run, folder, server):
    assert fetch_words(run, server, tarred()) == f"{folder}/words: fetched; files 6, bytes 39\n"
    for name, content in WORDS.items():
        assert (folder / "words" / name).read_bytes() == content
    assert names(folder) == ["words", "words.json"]
    assert "there and whole" in fetch_words(run, server, tarred())
    (folder / "words" / "LICENSE").unlink()
    assert "is no longer what was fetched" in fetch_words(run, server, tarred())


def test_an_archive_writes_nowhere_else(run, folder, server, tmp_path):
    content = tarred(
        WORDS | {"../evil.wav": b"x", "/tmp/evil.wav": b"x", "yes/../../evil.wav": b"x", ".profile": b"x"},
        entry("yes/link.wav", tarfile.SYMTYPE, "/etc/passwd"),
        entry("yes/hard.wav", tarfile.LNKTYPE, "/etc/passwd"),
        entry("yes/pipe.wav", tarfile.FIFOTYPE),
        entry("no", tarfile.SYMTYPE, str(tmp_path)),
    )
    assert "files 6" in fetch_words(run, server, content)
    assert names(tmp_path) == ["data"]
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_an_archive_that_unpacks_without_end_is_refused(run, folder, server):
    said = fetch_words(run, server, tarred({"yes/a.wav": bytes(10**7)}), max_unpacked=10**6)
    assert said == "words.tar.gz unpacks to more than 1,000,000 bytes; refused."
    assert "words" not in names(folder)


def test_a_full_disk_keeps_what_came(run, folder, server, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as if there were no more room
    try:
        said = run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said == f"cannot write into {folder}: File too large; make room, or give another --data-dir."
    assert_nothing_came(folder, *KEPT)
    run()
    assert_came(folder)
    assert ranges(server)[-1][0].startswith("bytes=")


def test_a_disk_that_will_be_full_is_noticed_before(run, folder, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert run() == f"{folder} has room for 1,000 bytes, {len(PACKED):,} are to come; make room."
    assert_nothing_came(folder)


def test_a_folder_that_cannot_be_is_one_line(run, folder):
    folder.write_text("a file")
    assert run() == f"cannot write into {folder}: File exists; make room, or give another --data-dir."


FETCH = """
import sys
from pathlib import Path
from lit_delays.data.storage import download
from lit_delays.data.storage.fetch import fetch
from lit_delays.data.storage.sources import Archive
folder, address, digest = sys.argv[1:]
print(fetch(Archive("digits.h5.zip", digest, "digits.h5", 10**6, 10**6), Path(folder), address), flush=True)
"""


def started(folder, server):
    words = [sys.executable, "-c", FETCH, str(folder), server.address, archive_of().digest]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slowly(content):
    def answer(handler):
        handler.head(200, Content_Length=len(content), **RANGES)
        for start in range(0, len(content), 2**16):
            handler.wfile.write(content[start : start + 2**16])
            time.sleep(0.3)

    return answer


def test_two_fetches_at_once_make_one_good_copy(folder, server):
    server.answers["/digits.h5.zip"] = [slowly(PACKED)]
    with started(folder, server) as one, started(folder, server) as other:
        said = sorted(process.communicate()[0].split(";")[0] for process in (one, other))
    assert said == [f"{folder}/digits.h5: fetched", f"{folder}/digits.h5: there and whole"]
    assert len(server.asked) == 1
    assert_came(folder)


def test_a_fetch_that_was_killed_goes_on(run, folder, server):
    server.answers["/digits.h5.zip"] = [slowly(PACKED)]
    with started(folder, server) as process:
        part = folder / "digits.h5.zip.part"
        while not (part.is_file() and part.stat().st_size):
            time.sleep(0.01)
        process.kill()
    server.answers["/digits.h5.zip"] = [whole(PACKED)]
    run()
    assert_came(folder)
    assert ranges(server)[-1][1] == '"one"'


def test_every_split_has_its_archive():
    for source in SOURCES.values():
        assert set(source.files.values()) == {archive.unpacked for archive in source.archives}
    for source in FETCHABLE.values():
        assert source.address.startswith("https://")
        for archive in source.archives:
            kind, value = archive.digest.split(":")
            assert len(value) == {"md5": 32, "sha256": 64}[kind]
    assert GSC.archives[0].unpacked == "speech_commands_v0.02"


@pytest.mark.parametrize("words", [[], ["fetch"], ["fetch", "mnist"], ["pack", "shd"]])
def test_wrong_words_are_refused(words):
    with pytest.raises(Exception, match="`lit_delays data --help` lists the options"):
        command.data(words)

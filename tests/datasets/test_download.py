"""The downloader against a real server on this machine: ranges, resumption, refusal of wrong bytes."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from anomalens.datasets.catalogue import DATASETS, Download
from anomalens.datasets.download import CHUNK, download_dataset, fetch
from anomalens.errors import InputError, SettingError

DATA = np.random.default_rng(0).integers(0, 255, 4_300_000, np.uint8).tobytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        served = self.server.served
        self.server.asked.append(self.headers.get("Range"))
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", self.server.target)
            self.end_headers()
            return
        start = 0
        wanted = self.headers.get("Range")
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + self.server.shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(served) - 1}/{len(served)}")
        else:
            self.send_response(200)
        body = served[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stop, self.server.stop_after = self.server.stop_after, None
        with suppress(ConnectionError):  # who reads may hang up
            self.wfile.write(body if stop is None else body[:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.served, running.asked, running.ranges, running.shift = DATA, [], True, 0
    running.stop_after, running.target = None, ""
    running.address = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def published(server, path="/set.bin", data=DATA):
    return Download(server.address + path, hashlib.sha256(data).hexdigest(), len(data))


def test_a_file_is_fetched_checked_and_not_fetched_again(server, tmp_path):
    steps = []

    def watch(items, *, label, total):
        for item in items:
            steps.append((label, total, len(item)))
            yield item

    path = fetch(published(server), tmp_path / "new", progress=watch)
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == ["set.bin"]
    assert len(steps) == 5 and steps[0] == ("set.bin", 5, CHUNK)
    assert fetch(published(server), tmp_path / "new") == path
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_fetch_goes_on(server, tmp_path, ranges):
    server.ranges, server.stop_after = ranges, 100_000
    with pytest.raises(InputError, match=r"the connection ended early.*go on where it stopped"):
        fetch(published(server), tmp_path)
    part = tmp_path / "set.bin.part"
    assert 0 < part.stat().st_size <= 100_000 and not (tmp_path / "set.bin").exists()
    kept = part.stat().st_size
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    assert server.asked == [None, f"bytes={kept}-"]
    assert not part.exists()


def test_a_whole_part_that_was_not_renamed_is_only_checked(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(DATA)
    assert fetch(published(server), tmp_path).read_bytes() == DATA
    assert server.asked == []


def test_wrong_bytes_are_removed(server, tmp_path):
    wrong = Download(server.address + "/set.bin", "0" * 64, len(DATA))
    with pytest.raises(InputError, match="not the published file"):
        fetch(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "set.bin.part").write_bytes(b"x" * 50)  # a part of something else
    with pytest.raises(InputError, match="not the published file"):
        fetch(published(server), tmp_path)
    assert fetch(published(server), tmp_path).read_bytes() == DATA


def test_more_bytes_than_published_are_not_taken(server, tmp_path):
    with pytest.raises(InputError, match="more than the published 1000 bytes"):
        fetch(published(server, data=DATA[:1000]), tmp_path)
    assert (tmp_path / "set.bin.part").stat().st_size <= 1000


def test_another_range_than_asked_is_refused(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(DATA[:500])
    server.shift = 7
    with pytest.raises(InputError, match="another part than was asked for"):
        fetch(published(server), tmp_path)


def test_failures_of_the_address_are_one_sentence(server, tmp_path):
    with pytest.raises(InputError, match="the server answers 404"):
        fetch(published(server, "/missing"), tmp_path)
    with pytest.raises(InputError, match=r"cannot be fetched \(Connection refused\)"):
        fetch(Download("http://127.0.0.1:9/set.bin", "0" * 64, 5), tmp_path)
    server.target = "file:///etc/hostname"
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(published(server, "/elsewhere"), tmp_path)
    server.target = "/set.bin"
    assert fetch(published(server, "/elsewhere"), tmp_path).read_bytes() == DATA


def test_a_foreign_file_in_its_place_is_kept(server, tmp_path):
    (tmp_path / "set.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match="is not the published file"):
        fetch(published(server), tmp_path)
    assert (tmp_path / "set.bin").read_bytes() == b"mine"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(published(server), tmp_path / "file")


def test_sets_without_a_pinned_address_are_fetched_by_hand(tmp_path):
    with pytest.raises(SettingError, match="No stable address with a checksum is known for mvtec-ad"):
        download_dataset(DATASETS["mvtec-ad"], tmp_path)


def test_every_pinned_address_has_a_whole_checksum():
    for dataset in DATASETS.values():
        for one in dataset.downloads:
            assert len(one.sha256) == 64 and set(one.sha256) <= set("0123456789abcdef")
            assert one.url.startswith(("https://", "http://")) and one.size > 1000

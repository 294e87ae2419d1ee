"""Downloads against a real server on this computer: whole, resumed, cut off, damaged, refused, shared, offline."""

from __future__ import annotations

import http.server
import io
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash

from microsam_nb.core import ModelError
from microsam_nb.engine import ModelSpec, load_model, registry
from microsam_nb.engine import download as module
from microsam_nb.engine.download import CachedFile, Transfer, cache_folder, cached_files, download, fetch
from microsam_nb.engine.registry import RegisteredModel, Source, registered

CONTENT = np.random.default_rng(5).bytes(3 * (1 << 20) + 17)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``, bytes or a dict of them by path; ``cuts``: after how many bytes answers break off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.cuts, self.status = CONTENT, True, [], 200
        self.says_length, self.asked = True, []
        self.gate = threading.Event()
        self.gate.set()

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of these tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        content = server.content[self.path] if isinstance(server.content, dict) else server.content
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        half = len(body) // 2
        self.wfile.write(body[:half])
        server.gate.wait(20)
        self.wfile.write(body[half:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    one = Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.gate.set()
    one.shutdown()
    one.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no pauses between attempts."""
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def file(server, cache):
    """The file that the server has, and its place in the cache."""
    return CachedFile("one", Source(server.url, xxhash.xxh128(CONTENT).hexdigest()), cache / "models" / "one")


def finish(file: CachedFile) -> list[Transfer]:
    return list(download(file))


def part(file: CachedFile) -> Path:
    return file.path.with_name(f"one.{file.source.xxh128[:8]}.part")


def leftovers(file: CachedFile) -> set[str]:
    return {path.name for path in file.path.parent.iterdir() if path.suffix != ".lock"}


def refused(file: CachedFile, remedy: str) -> ModelError:
    with pytest.raises(ModelError) as error:
        finish(file)
    assert remedy in error.value.remedy
    assert not file.path.exists()
    return error.value


def test_a_download_says_how_far_it_is_and_arrives(file):
    seen = finish(file)
    assert file.path.read_bytes() == CONTENT
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert (seen[0].done, seen[-1].done) == (0, len(CONTENT))
    assert {one.total for one in seen} == {len(CONTENT)}
    assert leftovers(file) == {"one"}


def test_a_server_that_does_not_say_the_length(file, server):
    server.says_length = False
    assert finish(file)[-1] == Transfer("one", len(CONTENT), None)
    assert file.path.read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up_again(file, server, ranges):
    server.ranges, server.cuts = ranges, [200_000]
    finish(file)
    assert file.path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={3 << 16}-"], "less than 64 KB are fetched twice"


def test_a_place_that_is_taken_by_a_folder(file):
    (file.path / "inside").mkdir(parents=True)
    with pytest.raises(ModelError) as error:
        finish(file)
    assert "Set MICROSAM_CACHEDIR" in error.value.remedy


def test_a_connection_that_keeps_breaking_goes_on_the_next_time(file, server):
    server.cuts = [1 << 20, 0, 0]
    error = refused(file, "Run it again")
    assert "1.0 MB" in error.what
    assert server.url in error.remedy
    assert part(file).stat().st_size == 1 << 20
    server.cuts, server.asked = [], []
    seen = finish(file)
    assert seen[0] == Transfer("one", 1 << 20, len(CONTENT))
    assert server.asked == [f"bytes={1 << 20}-"]
    assert file.path.read_bytes() == CONTENT
    assert leftovers(file) == {"one"}


def test_a_cancelled_download_goes_on_the_next_time(file, server):
    transfers = download(file)
    while next(transfers).done < 1 << 20:
        pass
    transfers.close()
    have = part(file).stat().st_size
    assert 0 < have < len(CONTENT)
    finish(file)
    assert server.asked[-1] == f"bytes={have}-"
    assert file.path.read_bytes() == CONTENT


def test_a_beginning_that_is_damaged_is_thrown_away(file, server):
    part(file).parent.mkdir(parents=True)
    part(file).write_bytes(b"x" * 100)
    finish(file)
    assert server.asked == ["bytes=100-", None]
    assert file.path.read_bytes() == CONTENT


@pytest.mark.parametrize("surplus", [0, 50])
def test_a_part_that_is_already_whole_or_too_long(file, server, surplus):
    part(file).parent.mkdir(parents=True)
    part(file).write_bytes(CONTENT + b"x" * surplus)
    finish(file)
    assert file.path.read_bytes() == CONTENT
    assert len(server.asked) == (2 if surplus else 1)


def test_wrong_content_is_refused_and_not_kept(file, server):
    server.content = b"<html>please log in</html>"
    error = refused(file, "A proxy or a login page may stand in between")
    assert str(file.path) in error.remedy
    assert leftovers(file) == set()
    assert len(server.asked) == 1


def test_wrong_content_is_not_fetched_for_ever(file, server):
    part(file).parent.mkdir(parents=True)
    part(file).write_bytes(b"x" * 10)
    server.content = b"y" * 100_000
    refused(file, "try another network")
    assert len(server.asked) == 2
    assert leftovers(file) == set()


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_answer_that_is_an_error(file, server, status):
    server.status = status
    error = refused(file, f"save it as {file.path}")
    assert str(status) in error.what
    assert leftovers(file) == set()


def test_no_network_says_where_to_put_the_file_by_hand(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights"
        file = CachedFile("one", Source(url, "0" * 32), cache / "models" / "one")
        error = refused(file, f"fetch {url} with a browser")
    assert "cannot be reached" in error.what
    assert f"save it as {file.path}" in error.remedy
    assert leftovers(file) == set()


def test_a_connection_that_is_not_secure(file, server):
    file = replace(file, source=replace(file.source, url=server.url.replace("http:", "https:")))
    error = refused(file, "Set REQUESTS_CA_BUNDLE")
    assert "no secure connection" in error.what
    assert f"save it as {file.path}" in error.remedy


def test_too_little_room_is_said_before_anything_is_written(file, monkeypatch):
    usage = module.shutil.disk_usage(file.path.parents[2])
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    refused(file, "Free 4 MB, or set MICROSAM_CACHEDIR")
    assert leftovers(file) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_disk_that_fills_up_on_the_way(file):
    part(file).parent.mkdir(parents=True)
    part(file).symlink_to("/dev/full")
    refused(file, "or set MICROSAM_CACHEDIR to a folder on another disk")
    assert leftovers(file) == set()


def test_a_folder_that_cannot_be_written(file, cache):
    cache.write_text("a file where the folder should be")
    refused(file, "Set MICROSAM_CACHEDIR to a folder that you may write to")


def test_two_processes_download_once(file, server, cache):
    server.gate.clear()
    code = (
        "import sys\nfrom pathlib import Path\nfrom microsam_nb.engine.download import CachedFile, download\n"
        "from microsam_nb.engine.registry import Source\n"
        "for now in download(CachedFile('one', Source(sys.argv[1], sys.argv[2]), Path(sys.argv[3]))):\n"
        "    print(now.done, flush=True)"
    )
    command = [sys.executable, "-c", code, file.source.url, file.source.xxh128, str(file.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "0\n"
        transfers = download(file)
        waiting = next(transfers)
        assert waiting.total is None, "the other process has the lock"
        server.gate.set()
        rest = list(transfers)
        assert other.wait(60) == 0
    assert all(one.total is None for one in rest)
    assert len(server.asked) == 1
    assert file.path.read_bytes() == CONTENT


def test_a_process_that_was_killed_leaves_no_lock(file, server):
    server.gate.clear()
    code = (
        "import sys, os, signal\nfrom pathlib import Path\n"
        "from microsam_nb.engine.download import CachedFile, download\nfrom microsam_nb.engine.registry import Source\n"
        "for now in download(CachedFile('one', Source(sys.argv[1], sys.argv[2]), Path(sys.argv[3]))):\n"
        "    now.done and os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, file.source.url, file.source.xxh128, str(file.path)]
    assert subprocess.run(command, timeout=120, check=False).returncode < 0
    assert not file.path.exists()
    server.gate.set()
    finish(file)
    assert file.path.read_bytes() == CONTENT


def test_fetch_takes_what_is_there_and_gets_what_is_missing_or_damaged(server, cache, capsys):
    source = Source(server.url, xxhash.xxh128(CONTENT).hexdigest())
    model = RegisteredModel("one", "vit_t", "a test", source, source)
    weights, decoder = cache / "models" / "one", cache / "models" / "one_decoder"
    assert fetch(model) == [weights, decoder]
    assert "one_decoder" in capsys.readouterr().err, "the progress bar names the file"
    assert len(server.asked) == 2
    assert fetch(model) == [weights, decoder]
    assert len(server.asked) == 2
    decoder.write_bytes(CONTENT[:-1])
    assert fetch(model) == [weights, decoder]
    assert len(server.asked) == 3
    assert decoder.read_bytes() == CONTENT
    assert capsys.readouterr().out == ""


def test_the_cache_is_that_of_micro_sam(cache, monkeypatch):
    model = registered("vit_b_lm")
    assert [file.path for file in cached_files(model)] == [
        cache / "models" / "vit_b_lm",
        cache / "models" / "vit_b_lm_decoder",
    ]
    assert cached_files(registered("nano")) == []
    assert len(cached_files(registered("vit_h"))) == 1
    monkeypatch.delenv("MICROSAM_CACHEDIR")
    assert cache_folder().name == "micro_sam"
    assert cache_folder() != cache


def test_load_model_downloads_what_is_missing(server, cache, monkeypatch, random_nano):
    buffer = io.BytesIO()
    torch.save({f"sam.{k}": v for k, v in random_nano.sam.state_dict().items()}, buffer)
    decoder = io.BytesIO()
    torch.save(random_nano.distances.state_dict(), decoder)
    server.content = {"/weights": buffer.getvalue(), "/decoder": decoder.getvalue()}
    sources = [
        Source(server.url.replace("/weights", path), xxhash.xxh128(content).hexdigest())
        for path, content in server.content.items()
    ]
    model = RegisteredModel("nano_there", "nano", "a test", *sources, "v1")
    monkeypatch.setitem(registry._BY_NAME, "nano_there", model)
    loaded = load_model("nano_there", device="cpu")
    assert loaded.spec == ModelSpec("nano_there", "nano", sources[0].identity, "v1")
    own = random_nano.sam.mask_decoder.state_dict()
    assert all(torch.equal(own[k], v) for k, v in loaded.sam.mask_decoder.state_dict().items())
    assert len(server.asked) == 2
    load_model("nano_there", device="cpu")
    assert len(server.asked) == 2

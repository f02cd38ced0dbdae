"""What strangers send is bounded: where files come from, how large they are, what they unpack to, what names hold."""

from __future__ import annotations

import http.server
import json
import os
import pty
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers.hub_clients import run_python
from helpers.hub_results import make_result, predictions_beside
from helpers.loopback_hub import Fault, LoopbackHub
from huggingface_hub.constants import ENDPOINT

from soco_datasets.cli import main
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.errors import DatasetFolderError, PredictionsError, SocoError, UsageError
from soco_datasets.hub.foreign_fetch import AllowedHosts, fetch, is_public
from soco_datasets.hub.submission import SubmissionError
from soco_datasets.hub.submissions import parse_address, verify
from soco_datasets.hub.verify import FurtherChecks
from soco_datasets.records.base import LARGEST_RECORD
from soco_datasets.records.registry import read_record
from soco_datasets.utils.arrow_streams import check_stream
from soco_datasets.utils.clean_terminal import without_controls
from soco_datasets.utils.files import sha256_file
from soco_datasets.utils.foreign import ForeignTextError, read_json_text
from soco_datasets.utils.parquet_files import BoundsError
from soco_datasets.utils.text import public_url

NASTY = "evil\x1b]0;title\x07\x1b[2J\u202e"


class _Pages(http.server.BaseHTTPRequestHandler):
    """Files of a folder, a redirect, a page without end, and one of a false length."""

    folder: Path

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
            return
        if self.path in ("/endless", "/stated"):
            self.send_response(200)
            if self.path == "/stated":
                self.send_header("Content-Length", str(10**12))
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x" * 1_000_000)
            return
        file = self.folder / self.path.lstrip("/")
        self.send_response(200 if file.is_file() else 404)
        self.end_headers()
        if file.is_file():
            self.wfile.write(file.read_bytes())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, AllowedHosts, Path]]:
    """A loopback server with a certificate of its own: its address, the hosts that allow it, its folder."""
    folder = tmp_path_factory.mktemp("pages")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*request, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = type("Pages", (_Pages,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as https:
        https.socket = context.wrap_socket(https.socket, server_side=True)
        thread = threading.Thread(target=https.serve_forever, daemon=True)
        thread.start()
        host = f"localhost:{https.server_address[1]}"
        yield f"https://{host}", AllowedHosts((host,), private=True, certificates=certificate), folder
        https.shutdown()


def test_a_named_host_gives_a_file_and_a_result(
    server: tuple[str, AllowedHosts, Path], tmp_path: Path, built_mini: Path
) -> None:
    address, hosts, folder = server
    (folder / "some.json").write_text("{}")
    fetch(f"{address}/some.json", tmp_path / "here.json", 10, hosts)
    assert (tmp_path / "here.json").read_text() == "{}"
    record = make_result(built_mini, folder)
    verdict = verify(f"{address}/{record.name}", str(built_mini), further=FurtherChecks(hosts=hosts))
    assert verdict.matches
    assert verdict.references
    assert verdict.data_sha256 == sha256_file(predictions_beside(record))


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("/moved", {}, "redirects are not followed"),
        ("/endless", {}, "more than the 1,000 bytes"),
        ("/stated", {}, "1,000,000,000,000 bytes"),
        ("/absent", {}, "status 404"),
        ("/some.json", {"private": False}, "not a public one"),
        ("/some.json", {"names": ("elsewhere.org",)}, "--allow-host localhost"),
        ("/some.json", {"certificates": None}, "certificate"),
    ],
)
def test_nothing_else_is_fetched(
    server: tuple[str, AllowedHosts, Path], tmp_path: Path, path: str, change: dict[str, Any], words: str
) -> None:
    address, hosts, folder = server
    (folder / "some.json").write_text("{}")
    allowed = AllowedHosts(**{**vars(hosts), **change})
    with pytest.raises(SubmissionError, match=words):
        fetch(address + path, tmp_path / "here.json", 1000, allowed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url", ["http://localhost/r.json", "file:///etc/passwd", "https://user@localhost/r.json", "ftp://localhost/r.json"]
)
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SubmissionError, match=r"not https|not on the Hub"):
        fetch(url, tmp_path / "here.json", 1000, AllowedHosts(("localhost", "user@localhost")))
    with pytest.raises(SocoError):
        verify(url)


@pytest.mark.parametrize("path", ["x/../../y", "..%2f..%2fetc", "%2e%2e/record.json"])
def test_an_address_may_not_lead_out_of_its_folder(path: str) -> None:
    for form in ("resolve", "blob"):
        with pytest.raises(UsageError, match="leads out of its folder"):
            parse_address(f"{public_url(ENDPOINT)}/datasets/lab/results/{form}/main/{path}")


def test_addresses_that_stand_for_private_ones_are_not_public() -> None:
    private = ["0.0.0.0", "192.168.1.1", "100.64.0.1", "fe80::1%eth0", "fd00::1", "64:ff9b::a00:1", "2002:0a00:0001::"]
    private += ["::127.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "2001::1", "ff02::1", "224.0.0.1", "::ffff:127.0.0.1"]
    assert not any(map(is_public, private))
    assert is_public("2606:4700:4700::1111")


@pytest.fixture
def hub(tmp_path: Path, built_mini: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_account("hf_alice", "alice", orgs=("lab",))
        script = f"""
        from huggingface_hub import HfApi
        HfApi().create_repo("lab/soco", repo_type="dataset")
        HfApi().upload_file(path_or_fileobj={str(built_mini / "manifest.json")!r}, path_in_repo="manifest.json",
            repo_id="lab/soco", repo_type="dataset")
        """
        run_python(hub, tmp_path, script, token="hf_alice")
        yield hub


def test_the_hub_may_not_send_elsewhere(hub: LoopbackHub, tmp_path: Path) -> None:
    script = """
    from huggingface_hub import HfApi
    from soco_datasets.errors import SocoError
    from soco_datasets.hub.downloads import download
    try:
        print(download(HfApi(), "lab/soco", "dataset", "main", "manifest.json").name)
    except SocoError as error:
        print(error)
    """
    assert run_python(hub, tmp_path, script).stdout.strip() == "manifest.json"
    headers = {"Location": "http://127.0.0.1:9/secret", "ETag": '"a"', "X-Repo-Commit": "a" * 40}
    hub.faults.append(Fault("HEAD", "/resolve/", status=302, times=9, headers=headers))
    said = run_python(hub, tmp_path, script, home="other").stdout
    assert "it leads to http://127.0.0.1, and nothing is downloaded from there" in said


def test_a_published_folder_of_absurd_size_is_not_downloaded(hub: LoopbackHub, tmp_path: Path) -> None:
    script = """
    from soco_datasets.data import remote_folder
    remote_folder._LARGEST_MANIFEST = 1000
    try:
        remote_folder.fetch_folder(remote_folder.HubAddress("lab/soco"), images=True)
    except remote_folder.DatasetFolderError as error:
        print(error)
    """
    assert "it is not downloaded" in run_python(hub, tmp_path, script).stdout
    assert not hub.requests_of("GET", "/resolve/")


def bomb(path: Path) -> None:
    """A small Arrow stream that unpacks to 2.4 GB."""
    table = pa.table({"zeros": np.zeros(10_000_000)})
    with pa.ipc.new_stream(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for _ in range(30):
            writer.write_table(table)


def test_an_arrow_stream_may_not_unpack_to_gigabytes(tmp_path: Path, built_mini: Path) -> None:
    bomb(tmp_path / "bomb.arrow")
    assert (tmp_path / "bomb.arrow").stat().st_size < 3_000_000
    with pytest.raises(BoundsError, match="2,400,000,000 bytes once it is unpacked"):
        check_stream(tmp_path / "bomb.arrow")
    folder = tmp_path / "folder"
    shutil.copytree(built_mini, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    shard = next(entry for entry in manifest["shards"] if entry["config"] == "soc")
    bomb(folder / shard["file"])
    shard |= {"bytes": (folder / shard["file"]).stat().st_size, "sha256": sha256_file(folder / shard["file"])}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetFolderError, match="once it is unpacked"):
        DatasetFolder(folder).table("soc")


def test_a_damaged_framing_is_refused_or_passed_on_but_never_crashes(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(100)), "b": ["x", "y"] * 50})
    with pa.ipc.new_stream(str(tmp_path / "a"), table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as w:
        w.write_table(table)
    whole = (tmp_path / "a").read_bytes()
    check_stream(tmp_path / "a")
    generator, refused = np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] = generator.integers(0, 256)
        (tmp_path / "b").write_bytes(bytes(damaged))
        try:
            check_stream(tmp_path / "b")
        except BoundsError:
            refused += 1
    assert 0 < refused < 300


def test_records_have_a_largest_size_and_names_a_longest(tmp_path: Path, built_mini: Path) -> None:
    record = make_result(built_mini, tmp_path)
    fields = json.loads(record.read_text())
    fields["model"]["name"] = "x" * 1001
    record.write_text(json.dumps(fields))
    with pytest.raises(PredictionsError, match="at most 1,000 characters"):
        read_record(record)
    with open(record, "ab") as file:
        file.truncate(LARGEST_RECORD + 1)
    with pytest.raises(PredictionsError, match="larger than 64,000,000 bytes"):
        read_record(record)


def test_json_of_millions_of_values_is_not_parsed() -> None:
    with pytest.raises(ForeignTextError, match="more than 20,000,000 values"):
        read_json_text("[" + "0," * 20_000_000 + "0]")


def test_names_are_printed_without_control_characters(
    built_mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = make_result(built_mini, tmp_path, name=NASTY)
    data = str(predictions_beside(record))
    for command in (
        ["score", data],
        ["verify", str(record), "--data", str(built_mini)],
        ["compare", str(record), str(record)],
    ):
        main(command)
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert "\x07" not in said.out + said.err


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[1;31mred\x1b[0m\n", True),
        ("\x1b[38;5;8mgray\x1b[0m\r\x1b[2K", True),
        ("\x1b[38;2;1;2;3m\x1b[A", True),
        ("\x1b]52;c;aGk=\x07", False),
        ("\x1b[8mhidden", False),
        ("\x1b[38;5;1;8mhidden", False),
        ("\x1b[6n", False),
        ("\x1b[2J", False),
        ("\x9b2J", False),
        ("a\u202eb", False),
    ],
)
def test_a_terminal_gets_colors_and_moves_and_no_other_control(text: str, kept: bool) -> None:
    assert (without_controls(text) == text) == kept
    assert kept or not {"\x07", "\x9b", "\u202e"} & set(without_controls(text))


def on_a_terminal(script: str) -> str:
    """What a script sends to the terminal that it runs in."""
    main_end, its_end = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", script], stdout=its_end, stderr=its_end) as process:
        os.close(its_end)
        said = b""
        while True:
            try:
                piece = os.read(main_end, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(main_end)
    assert process.returncode == 0, said
    return said.decode()


PRINTERS: dict[str, Callable[[], str]] = {
    "print": lambda: f"print({NASTY!r})",
    "a warning": lambda: f"import warnings; warnings.warn({NASTY!r})",
    "rich": lambda: (
        "from rich.console import Console; "
        f"Console(force_terminal=True).print('[bold]x[/bold]', {NASTY!r}, markup=True)"
    ),
}


@pytest.mark.parametrize("printer", PRINTERS.values(), ids=PRINTERS)
def test_nothing_that_prints_reaches_a_terminal_with_controls(printer: Callable[[], str]) -> None:
    script = f"from soco_datasets.utils.clean_terminal import clean_terminals\nwith clean_terminals():\n    {printer()}"
    said = on_a_terminal(script)
    assert "evil" in said
    assert not any(part in said for part in ("\x1b]", "\x07", "\x1b[2J", "\u202e"))

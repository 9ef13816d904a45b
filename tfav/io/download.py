"""One file over https, to a temporary name: resumed, limited in size, verified, renamed in."""

import json
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from tqdm import tqdm

from tfav.errors import TfavError
from tfav.io.atomic_write import DiskFullError, is_disk_full, write_json

CONNECT_TIMEOUT_SEC = 10
READ_TIMEOUT_SEC = 30
MAX_ATTEMPTS = 3
MAX_REDIRECTS = 10
_CHUNK_BYTES = 1 << 16  # what a break may cost: a chunk that has not arrived whole is lost
# Hosts that may be asked over plain http. Only the tests put their own server on 127.0.0.1 in here.
PLAIN_HTTP_HOSTS: set[str] = set()


class FetchError(TfavError):
    """A download that did not succeed; the message names the address and where a file fetched by hand belongs."""


def download_https(url: str, path, *, max_bytes: int, quiet: bool = False) -> Path:
    """Download `url` to `path`.

    What has arrived lies in `path` + `.part` until it is whole, with the server's mark of the version beside it; the
    next call goes on from there if the server still has that version, and begins anew otherwise.

    Args:
        url: Address; https, and so must be every address it redirects to.
        path: Where the whole file goes.
        max_bytes: Refuse to take more.
        quiet: No progress bar.

    Returns:
        The path.

    Raises:
        FetchError: No network, a refusal by the server, a web page in place of the file, too many bytes, or a
            connection that broke repeatedly.
        DiskFullError: No space was left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(MAX_ATTEMPTS):
        try:
            _receive(url, path, part, max_bytes, quiet)
        except requests.RequestException as error:
            # Only a transfer that broke off midway is worth another try at once.
            midway = isinstance(error, requests.exceptions.ChunkedEncodingError) or (
                isinstance(error, requests.ConnectionError) and part.exists() and part.stat().st_size > 0
            )
            if not midway or attempt + 1 == MAX_ATTEMPTS:
                raise unreachable(url, path, describe_network_error(error)) from error
        except OSError as error:
            if is_disk_full(error):
                part.unlink(missing_ok=True)  # so that there is room for what else the person does now
                raise DiskFullError(path) from error
            raise
        else:
            break
    refuse_web_page(part, url, path)
    part.replace(path)
    _mark_path(part).unlink(missing_ok=True)
    return path


def unreachable(address: str, path: Path, reason: str) -> FetchError:
    """Return the error for an address that gives nothing, which says how to go on by hand."""
    return FetchError(
        f"{address}: cannot be fetched ({reason}). "
        f"Check the network and run this again, or download it by hand to {path}."
    )


def describe_network_error(error: BaseException) -> str:
    """Return the cause of a failed request in a few words, instead of the nest of names that requests gives."""
    text = str(error)
    for words, reason in (
        (("NameResolution", "getaddrinfo", "Name or service not known"), "no such host found: no network?"),
        (("refused",), "connection refused"),
        (("ProxyError", "proxy"), "the proxy refuses"),
        (("timed out", "Timeout"), "no answer in time"),
        (("unreachable",), "network unreachable"),
        (("SSL", "CERTIFICATE"), "its certificate is not valid"),
        (("IncompleteRead", "ended prematurely", "reset", "Connection broken"), "the connection broke off"),
    ):
        if any(word in text for word in words):
            return reason
    return " ".join(text.split())[:200] or type(error).__name__


def refuse_web_page(file: Path, address: str, path: Path) -> None:
    """Remove a downloaded file and raise if it is a web page, as Drive sends once its quota is used up."""
    with file.open("rb") as stream:
        head = stream.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        file.unlink()
        raise unreachable(address, path, "it sent a web page instead of the file: quota used up, or a login is needed")


def _receive(url: str, path: Path, part: Path, max_bytes: int, quiet: bool) -> None:
    mark = _read_mark(part)
    offset = part.stat().st_size if part.exists() and mark else 0
    headers = {"Accept-Encoding": "identity"}  # a compressed transfer can be neither resumed nor counted
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": mark}
    with requests.Session() as session, _open(session, url, path, headers) as response:
        if response.status_code == 416:  # the part is as long as the file, or of another one
            part.unlink(missing_ok=True)
            raise requests.exceptions.ChunkedEncodingError("reset: the range is not there")
        if response.status_code not in (200, 206):
            raise unreachable(url, path, f"the server says {response.status_code} {response.reason}")
        resumed = response.status_code == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            raise unreachable(url, path, "the server sends another part than was asked for")
        offset = offset if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        if total is not None and total > max_bytes:
            raise unreachable(url, path, f"it is {total} bytes long, more than the {max_bytes} expected at most")
        # A weak mark (W/...) does not promise the same bytes.
        etag = response.headers.get("ETag", "")
        new_mark = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        if not resumed:
            write_json(_mark_path(part), {"version": new_mark})
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=total, initial=offset, unit="B", unit_scale=True, desc=path.name, disable=quiet, delay=2
            ) as progress,
        ):
            for chunk in response.iter_content(_CHUNK_BYTES):
                offset += len(chunk)
                if offset > max_bytes:
                    raise unreachable(url, path, f"it goes on after the {max_bytes} bytes expected at most")
                file.write(chunk)
                progress.update(len(chunk))
        if total is not None and offset != total:
            raise requests.exceptions.ChunkedEncodingError("IncompleteRead")


def _open(session: requests.Session, url: str, path: Path, headers: dict) -> requests.Response:
    """Follow redirects by hand: each address is looked at before it is asked for anything."""
    address = url
    for _ in range(MAX_REDIRECTS):
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in PLAIN_HTTP_HOSTS):
            raise unreachable(url, path, f"it leads to {address}, which is not https")
        response = session.get(
            address,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_TIMEOUT_SEC, READ_TIMEOUT_SEC),
        )
        if not response.is_redirect:
            return response
        address = urljoin(address, response.headers["Location"])
        response.close()
    raise unreachable(url, path, f"it redirects more than {MAX_REDIRECTS} times")


def _mark_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_mark(part: Path) -> str:
    try:
        return str(json.loads(_mark_path(part).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""

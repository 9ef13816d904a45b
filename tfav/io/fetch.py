"""Data sets and weights by name: downloaded, verified, unpacked. What is known of each stands in `data/NAME.md`."""

import dataclasses
from pathlib import Path

import gdown
import requests

from tfav.errors import UsageError
from tfav.io.archive import unpack
from tfav.io.atomic_write import DiskFullError, is_disk_full, remove_partials, write_json
from tfav.io.checksums import verify_download
from tfav.io.download import (
    CONNECT_TIMEOUT_SEC,
    READ_TIMEOUT_SEC,
    FetchError,
    describe_network_error,
    download_https,
    refuse_web_page,
    unreachable,
)
from tfav.io.lock import locked_folder

_GB = 10**9
_MARKER_NAME = ".fetched.json"


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        name: On disk.
        url: Address, https; or
        drive_id: Google Drive's id.
        kind: "zip", "tar", "rar", or "file" for one that is no archive.
        folder: Where it unpacks to, below the data set's folder; "" is that folder itself, for a single file.
        num_bytes: Its size, None where that is not recorded.
        sha256: In hexadecimal, None where that is not recorded: then the first download's is written down beside it
            and later ones are held against that.
        max_bytes: Where the size is not recorded, refuse more than this.
    """

    name: str
    url: str = ""
    drive_id: str = ""
    kind: str = "zip"
    folder: str = ""
    num_bytes: int | None = None
    sha256: str | None = None
    max_bytes: int = 4 * _GB

    @property
    def address(self) -> str:
        """The address a person can open in a browser."""
        return self.url or f"https://drive.google.com/file/d/{self.drive_id}/view"


@dataclasses.dataclass(frozen=True)
class RemoteDataset:
    """A data set or a set of weights: its files, its licence as far as it is known, its card in the folder `data/`."""

    files: tuple[RemoteFile, ...]
    licence: str
    card: str


DATASETS: dict[str, RemoteDataset] = {
    "ucf101": RemoteDataset(
        (
            RemoteFile(
                "UCF101.rar", url="https://www.crcv.ucf.edu/data/UCF101/UCF101.rar", kind="rar", max_bytes=20 * _GB
            ),
        ),
        licence="none stated; treat as research use",
        card="ucf101.md",
    ),
    "ucf3": RemoteDataset(
        (RemoteFile("UCF3.zip", url="https://santiagxf.blob.core.windows.net/public/datasets/UCF3.zip", kind="zip"),),
        licence="none stated; treat as research use",
        card="ucf3.md",
    ),
    "two-stream-weights": RemoteDataset(
        (
            RemoteFile("spatial.zip", drive_id="1djGzpxAYFvNX-UaQ7ONqDHGgnzc8clBK", kind="zip", folder="spatial"),
            RemoteFile("motion.zip", drive_id="1kvslNL8zmZYaHRmhgAM6-l_pNDDA0EKZ", kind="zip", folder="motion"),
        ),
        licence="not recorded yet",
        card="two-stream-weights.md",
    ),
    "mobilenet-v2-hub": RemoteDataset(
        (
            RemoteFile(
                "mobilenet_v2_100_224_feature_vector_4.tar.gz",
                url="https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/4?tf-hub-format=compressed",
                kind="tar",
                max_bytes=_GB,
            ),
        ),
        licence="not recorded yet",
        card="mobilenet-v2-hub.md",
    ),
    "lipnet-grid": RemoteDataset(
        (RemoteFile("data.zip", drive_id="1YlvpDLix3S-U8fd-gqRwPcWXAXm8JwjL", kind="zip"),),
        licence="CC BY 4.0",
        card="grid.md",
    ),
    "face-detector": RemoteDataset(
        (
            RemoteFile(
                "face_detection_yunet_2023mar.onnx",
                # The repository keeps large files apart: its plain address gives a pointer of three lines.
                url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
                "face_detection_yunet_2023mar.onnx",
                kind="file",
                num_bytes=232589,
                sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            ),
        ),
        licence="MIT",
        card="face-detector.md",
    ),
    "mnist": RemoteDataset(
        (
            RemoteFile(
                "mnist.npz",
                url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                kind="file",
                sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",  # Keras' own
                max_bytes=_GB // 10,
            ),
        ),
        licence="CC BY-SA 3.0",
        card="mnist.md",
    ),
    "moving-mnist": RemoteDataset(
        (
            RemoteFile(
                "mnist_test_seq.npy",
                url="https://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",
                kind="file",
                max_bytes=_GB,
            ),
        ),
        licence="none stated",
        card="moving-mnist.md",
    ),
}


def fetch(name: str, data_dir="data", *, quiet: bool = False) -> Path:
    """Download a registered data set, verify it and unpack it; what is there already is not fetched again.

    Downloads stay in `data_dir/downloads`, each with `FILE.lock.json` (size, SHA-256, address). A file put there by
    hand is taken as if it had been downloaded.

    Args:
        name: A key of `DATASETS`.
        data_dir: Gets `NAME/` and `downloads/`.
        quiet: No progress bar.

    Returns:
        The folder of the unpacked data, `data_dir/NAME`.

    Raises:
        UsageError: An unknown name, a folder that cannot be written to, or another fetch that is going on.
        FetchError: No network, or the address does not give the file.
        ArchiveError: The archive is broken, hostile, or there is no program to unpack it.
        DiskFullError: No space was left.
    """
    if name not in DATASETS:
        raise UsageError(f"There is no data set of that name; choose one of {', '.join(DATASETS)}. Received: {name}")
    target = Path(data_dir) / name
    downloads = Path(data_dir) / "downloads"
    with locked_folder(downloads):
        for parent in (Path(data_dir), target, downloads):
            remove_partials(parent, recursive=False)
        for file in DATASETS[name].files:
            folder, path = target / file.folder, downloads / file.name
            if (folder / _MARKER_NAME).exists():
                continue
            if not path.exists():
                _download(file, path, quiet)
            state = verify_download(path, file.address, file.num_bytes, file.sha256)
            unpack(path, folder, kind=file.kind)
            write_json(folder / _MARKER_NAME, state)
    return target


def _download(file: RemoteFile, path: Path, quiet: bool) -> None:
    max_bytes = file.num_bytes or file.max_bytes
    if file.url:
        download_https(file.url, path, max_bytes=max_bytes, quiet=quiet)
    else:
        _download_from_drive(file, path, max_bytes, quiet)


def _download_from_drive(file: RemoteFile, path: Path, max_bytes: int, quiet: bool) -> None:
    def stop_at_limit(num_bytes: int, total: int | None) -> None:
        if max(num_bytes, total or 0) > max_bytes:
            raise FetchError(f"{file.address}: longer than the {max_bytes} bytes expected at most. Nothing was kept.")

    received = path.with_name(path.name + ".drive")  # gdown adds its own suffix to what is incomplete, and resumes it
    try:
        gdown.download(
            id=file.drive_id,
            output=str(received),
            quiet=quiet,
            resume=True,
            use_cookies=False,
            timeout=(CONNECT_TIMEOUT_SEC, READ_TIMEOUT_SEC),
            progress=stop_at_limit,
        )
    except (gdown.exceptions.FileURLRetrievalError, gdown.exceptions.DownloadError) as error:
        raise unreachable(file.address, path, f"Drive does not give it: {describe_network_error(error)}") from error
    except requests.RequestException as error:
        raise unreachable(file.address, path, describe_network_error(error)) from error
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(path) from error
        raise
    refuse_web_page(received, file.address, path)
    received.replace(path)

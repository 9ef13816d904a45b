"""What a person reads, and what is left of their files, without a browser."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.app.fakes import FakeModels
from tfav.app.controller import Controller
from tfav.app.job_queue import JobQueue
from tfav.app.tabs import TABS
from tfav.app.uploads import Limits

TAB = {tab.system: tab for tab in TABS}


@pytest.fixture(scope="module")
def jobs():
    jobs = JobQueue(1, FakeModels, grace_sec=0.5)
    yield jobs
    jobs.close()


@pytest.fixture
def controller(jobs, tmp_path):
    return Controller(jobs, Limits(), tmp_path, {tab.system: {} for tab in TABS})


@pytest.fixture
def upload(controller, clip):
    """A function that does what Gradio does with an upload: the same file lands in the same place."""

    def put(name="clip", source=clip):
        folder = controller.served / f"hash-{name}"
        folder.mkdir(exist_ok=True)
        return str(shutil.copyfile(source, folder / f"{name}.mp4"))

    return put


def views(controller, system, path, session="ann", **values):
    async def collect():
        return [view async for view in controller.work(session, TAB[system], path, values)]

    return asyncio.run(collect())


def left(controller):
    return sorted(
        path.relative_to(controller.served.parent).as_posix() for path in controller.served.parent.rglob("*.*")
    )


@pytest.mark.parametrize(
    ("system", "values"), [("lipnet", {"face": 0}), ("two_stream", {}), ("cnn_lstm", {}), ("next_frame", {"frames": 7})]
)
def test_every_tab_gives_a_result_and_deletes_the_upload(controller, upload, system, values):
    path = upload()
    assert "Ready: 2.0 seconds, 64 x 48." in controller.receive("ann", system, path)[0]
    first, *_, last = views(controller, system, path, **values)
    assert first.busy and "Checking the file" in first.status
    assert not last.busy and "Done in" in last.status
    assert {"lipnet": "bin blue", "next_frame": "7 frames more"}.get(system, "turn clockwise") in last.result
    assert not Path(path).exists()
    assert all(name.startswith("served/results-") for name in left(controller))
    for name in left(controller):  # and each of them can be reached from the page, but for what is no use there
        assert f"gradio_api/file={controller.served.parent}/{name}" in last.result or name.endswith(".align")
    controller.leave("ann")
    assert left(controller) == []


def test_bad_files_are_told_at_once_and_deleted(controller, upload, bad_files):
    for name, words in (("text", "not a video"), ("empty", "0 bytes"), ("hour", "the limit is 60 seconds")):
        path = upload(source=bad_files[name])
        said, usable = controller.receive("ann", "lipnet", path)
        assert words in said and not usable and 'role="alert"' in said and not Path(path).exists()
        path = upload(source=bad_files[name])  # as a program would, which skips the first step
        assert words in views(controller, "lipnet", path)[-1].status and not Path(path).exists()


def test_messages_name_the_file_and_not_the_folder(controller, upload):
    last = views(controller, "cnn_lstm", upload("refused"))[-1]
    assert "refused.mp4: no face was found. Show one face." in last.status
    assert str(controller.served.parent) not in last.status and "/" not in last.status.replace("</", "")
    controller.predictors["cnn_lstm"] = {"run_dir": "/home/ann/runs/mine"}
    assert "<p>mine: not trained yet. Train on.</p>" in views(controller, "cnn_lstm", upload("untrained"))[-1].status
    assert "Something went wrong inside" in views(controller, "cnn_lstm", upload("broken"))[-1].status
    assert "Choose a video first" in views(controller, "cnn_lstm", None)[-1].status


def test_only_uploads_are_taken(controller, upload, clip, tmp_path):
    outside = tmp_path / "private.mp4"
    shutil.copyfile(clip, outside)
    for path in (outside, clip, "/etc/passwd"):
        assert "not an upload of this page" in controller.receive("ann", "lipnet", str(path))[0]
        assert "not an upload of this page" in views(controller, "lipnet", str(path))[-1].status
    assert outside.exists() and clip.exists()


def test_two_people_with_the_same_file_do_not_take_it_from_each_other(controller, upload):
    ann, bob = upload(), upload()
    assert ann == bob
    controller.receive("ann", "cnn_lstm", ann)
    controller.receive("bob", "cnn_lstm", bob)
    assert "Done in" in views(controller, "cnn_lstm", ann, "ann")[-1].status
    assert Path(bob).exists()

    async def both():
        async def last(session, path):
            return [view async for view in controller.work(session, TAB["cnn_lstm"], path, {})][-1]

        cat = upload()
        controller.receive("cat", "cnn_lstm", cat)
        return await asyncio.gather(last("bob", bob), last("cat", cat))

    assert ["Done in" in view.status for view in asyncio.run(both())] == [True, True]
    assert not Path(bob).exists()


def test_cancel_and_waiting_are_told(controller, upload):
    async def scene():
        said = {"ann": [], "bob": [], "cat": []}

        async def follow(session, name):
            async for view in controller.work(session, TAB["cnn_lstm"], upload(name), {}):
                said[session].append(view.status)

        ann = asyncio.create_task(follow("ann", "slow"))
        while not any("Working slowly" in status for status in said["ann"]):
            await asyncio.sleep(0.05)
        bob = asyncio.create_task(follow("bob", "clip"))
        while not any("Waiting: 1 video comes first" in status for status in said["bob"]):
            await asyncio.sleep(0.05)
        await follow("cat", "third")
        assert "Cancelled" in controller.cancel("ann", "cnn_lstm")
        await asyncio.gather(ann, bob)
        return said

    said = asyncio.run(asyncio.wait_for(scene(), 120))
    assert "Cancelled." in said["ann"][-1] and 'role="alert"' not in said["ann"][-1]
    assert "Done in" in said["bob"][-1]
    assert "The page is busy" in said["cat"][-1]
    assert [name for name in left(controller) if not name.startswith("served/results-")] == []


def test_closing_the_page_in_the_middle_stops_the_work_and_leaves_nothing(controller, upload):
    async def scene():
        work = controller.work("ann", TAB["cnn_lstm"], upload("slow"), {})
        async for view in work:
            if "Working slowly" in view.status:
                break
        controller.leave("ann")
        while any(controller._folder.iterdir()):
            await asyncio.sleep(0.1)
        await work.aclose()

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert left(controller) == []


def test_a_browser_that_goes_without_a_word_stops_the_work_too(controller, upload):
    async def scene():
        work = controller.work("ann", TAB["cnn_lstm"], upload("slow"), {})
        async for view in work:
            if "Working slowly" in view.status:
                break
        await work.aclose()  # what Gradio does when the connection is lost
        while any(controller._folder.iterdir()):
            await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert left(controller) == []

"""The line: order, bounds, and every way a job can end; the process is real, the models are not."""

import os
import shutil
import time

import pytest

from tests.app.fakes import FakeModels
from tfav.app.job_queue import CANCELLED, DONE, FAILED, REFUSED, RUNNING, WAITING, BusyError, JobQueue


@pytest.fixture(scope="module")
def shared_line():
    jobs = JobQueue(2, FakeModels)
    yield jobs
    jobs.close()


@pytest.fixture
def put(tmp_path, clip):
    """A function that puts a video of some name into a line."""

    def put(jobs, name="clip", owner=("ann", "cnn_lstm")):
        folder, results = tmp_path / f"job-{time.monotonic_ns()}", tmp_path / f"results-{time.monotonic_ns()}"
        folder.mkdir(), results.mkdir()
        path = shutil.copyfile(clip, folder / f"{name}.mp4")
        return jobs.submit(owner, {}, path, {}, folder=folder, results=results)

    return put


def wait(job, condition=lambda job: job.ended, seconds=60):
    end = time.monotonic() + seconds
    while not condition(job):
        assert time.monotonic() < end, f"still {job.state}: {job.what}"
        job.look()
        time.sleep(0.02)
    return job


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_is_done_and_its_upload_deleted(shared_line, put):
    job = wait(put(shared_line))
    assert job.state == DONE and job.row["ranking"][0]["label"] == "turn_clockwise"
    assert (job.share, job.what) == (0.5, "Working")
    assert not job.folder.exists() and job.results.exists()


def test_errors_are_lines_and_no_secrets(shared_line, put, capfd):
    refused = wait(put(shared_line, "refused"))
    assert refused.state == REFUSED and refused.message.endswith("refused.mp4: no face was found. Show one face.")
    broken = wait(put(shared_line, "broken"))
    assert broken.state == FAILED and "Something went wrong inside" in broken.message
    assert "secret detail" not in broken.message and "secret detail" in capfd.readouterr().err
    assert not broken.folder.exists() and not broken.results.exists()
    lacking = wait(put(shared_line, "lacking"))
    assert lacking.message == "The server lacks a file that this needs, and cannot fetch it. Its log says which."
    assert "detector.onnx: cannot be fetched" in capfd.readouterr().err


def test_a_crash_ends_one_job_only(shared_line, put):
    first, second = put(shared_line, "crash"), put(shared_line)
    assert wait(first).state == FAILED and "its process ended, code 3" in first.message
    assert wait(second).state == DONE


def test_cancel_stops_a_job_that_listens_without_ending_the_process(shared_line, put):
    pid = wait(put(shared_line)) and shared_line.pid
    job = wait(put(shared_line, "slow"), lambda job: job.share > 0)
    assert shared_line.cancel("bob") == 0 and shared_line.cancel("ann", "lipnet") == 0
    started = time.monotonic()
    assert shared_line.cancel("ann", "cnn_lstm") == 1
    assert wait(job).state == CANCELLED and job.message == "Cancelled." and time.monotonic() - started < 20
    assert wait(put(shared_line)).state == DONE and shared_line.pid == pid


def test_cancel_ends_the_process_of_a_job_that_does_not_listen(shared_line, put):
    job = wait(put(shared_line, "stubborn"), lambda job: job.what == "Not listening")
    pid = shared_line.pid
    shared_line.cancel("ann")
    assert wait(job, seconds=40).state == CANCELLED  # it sleeps for 60
    assert not is_alive(pid)
    assert wait(put(shared_line)).state == DONE


def test_the_line_is_bounded_and_in_order(shared_line, put, tmp_path):
    slow = wait(put(shared_line, "slow"), lambda job: job.state == RUNNING)
    second, third = put(shared_line, owner=("bob", "cnn_lstm")), put(shared_line, owner=("cat", "cnn_lstm"))
    assert [shared_line.ahead(job) for job in (slow, second, third)] == [0, 1, 2]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BusyError, match="The page is busy: 2 videos are waiting"):
        put(shared_line, owner=("dan", "cnn_lstm"))
    assert sorted(tmp_path.iterdir()) == before  # nothing of the refused one is left
    shared_line.cancel("bob")
    assert wait(second).state == CANCELLED and third.state == WAITING and shared_line.ahead(third) == 1
    shared_line.cancel("ann")
    assert wait(third).state == DONE


def test_a_job_nobody_looks_at_is_stopped(put):
    jobs = JobQueue(2, FakeModels, grace_sec=0.5, unseen_sec=1.0)
    try:
        forgotten = put(jobs, "slow")
        end = time.monotonic() + 60
        while not forgotten.ended and time.monotonic() < end:
            time.sleep(0.05)
        assert forgotten.state == CANCELLED
    finally:
        jobs.close()


def test_a_job_that_takes_too_long_is_stopped(put):
    jobs = JobQueue(2, FakeModels, grace_sec=0.5, job_sec=2.0)
    try:
        assert "longer than 0 minutes" in wait(put(jobs, "slow")).message
    finally:
        jobs.close()


class Hopeless(FakeModels):
    def prepare(self):
        raise SystemExit(7)


def test_a_process_that_cannot_start_is_told_and_not_tried_again_and_again(put):
    jobs = JobQueue(2, Hopeless, grace_sec=0.5)
    try:
        end = time.monotonic() + 60
        while jobs.pid is None:
            assert time.monotonic() < end
            time.sleep(0.1)
        pid = jobs.pid
        jobs._process.join(60)
        time.sleep(2.5)
        assert jobs.pid == pid
        assert "its process ended, code 7" in wait(put(jobs)).message
    finally:
        jobs.close()


def test_without_memory_for_a_process_jobs_fail_and_later_ones_do_not(put, monkeypatch):
    def refuse(process):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    jobs = JobQueue(2, FakeModels, grace_sec=0.5)
    try:
        assert "too little memory" in wait(put(jobs)).message
        monkeypatch.undo()
        assert wait(put(jobs)).state == DONE
    finally:
        jobs.close()


def test_a_job_that_is_taken_next_fills_no_place_in_the_line(shared_line, put):
    with shared_line._changed:  # so that none is taken meanwhile
        jobs = [put(shared_line) for _ in range(3)]
        with pytest.raises(BusyError):
            put(shared_line)
    assert [wait(job).state for job in jobs] == [DONE] * 3


def test_temporary_files_of_the_process_have_a_folder(put, tmp_path):
    jobs = JobQueue(2, FakeModels, scratch=tmp_path)
    try:
        assert wait(put(jobs)).row["temporary"] == str(tmp_path)
    finally:
        jobs.close()


def test_closing_ends_the_process_and_what_waits(put):
    jobs = JobQueue(2, FakeModels, grace_sec=0.2)
    running = wait(put(jobs, "stubborn"), lambda job: job.what == "Not listening")
    waiting, pid = put(jobs), jobs.pid
    jobs.close()
    assert running.state == waiting.state == CANCELLED and "server is stopping" in waiting.message
    assert not is_alive(pid)
    with pytest.raises(BusyError):
        put(jobs)

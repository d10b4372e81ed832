"""Pictures that come through the websocket are results: the job waits until each of them is on the disk."""

from __future__ import annotations

from app.core.effects import HistoryRead, ImageSaved, ReadHistory, SaveImage
from app.events import ExecutionEnded, Finished, ImageStreamed, NodeId
from app.ports import History
from tests.core.test_reconciler import STREAMING, Desk


def test_a_job_waits_for_a_picture_from_the_websocket_that_is_still_being_written() -> None:
    desk = Desk()
    desk.up()
    desk.request("job", STREAMING)
    prompt = desk.posted()
    for picture in (b"one", b"two"):
        desk.handle(ImageStreamed(prompt=prompt, display=NodeId("7"), image=picture, media_type="image/png"))
    keeps = [desk.take(SaveImage) for _ in range(2)]
    desk.handle(ExecutionEnded(prompt=prompt))
    desk.handle(HistoryRead(desk.take(ReadHistory), History("success")))
    assert not any(isinstance(update, Finished) for update in desk.told), "no picture is on the disk yet"
    desk.handle(ImageSaved(keeps[0]))
    assert not any(isinstance(update, Finished) for update in desk.told), "one picture is not on the disk yet"
    desk.handle(ImageSaved(keeps[1]))
    (finished,) = [update for update in desk.told if isinstance(update, Finished)]
    assert finished.files == (keeps[0].path, keeps[1].path)

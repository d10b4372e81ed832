"""The page of one job: what it shows, to whom, and what is done there, without scripts."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from app.core.jobs.job import Job, State, Variation
from app.events import Failed, Finished, JobId, ServerName
from app.http.page.results.picture import state_of
from app.reasons.jobs import NothingProduced, OutOfMemory
from app.service.page_actions import PageAction, PageField
from app.service.reasons import Draining, JobRemoved, MessageNotDeleted
from app.texts import page as texts
from app.texts.reasons.text import reason_text
from app.workflows.load import load
from app.workflows.model import WorkflowError
from tests.http.page.exhibition import Called, exhibition
from tests.http.page.site import ADA, BASE, GRACE, Browser
from tests.http.page.test_page import HOSTILE

WORKFLOWS = Path(__file__).parents[4] / "workflows"

FIELDS = (
    PageField(
        name="prompt", label="Prompt", kind="long", value="a fox", required=True, most=2000, hint="What you see."
    ),
    PageField(name="steps", label="Steps", kind="number", value="20"),
    PageField(
        name="sampler", label="Sampler", kind="choice", value="euler", choices=(("euler", "Euler"), ("dpm", "DPM"))
    ),
    PageField(name="hires", label="High resolution", kind="yes", value="true"),
)


class Recorder:
    """A `PageActions` that records what is asked for, and refuses everything once `refused` is set."""

    def __init__(self, made: Job | None = None) -> None:
        self.made = made
        self.refused: WorkflowError | None = None
        self.done: list[tuple[object, ...]] = []

    async def offered(self, person: str, job: Job) -> Sequence[PageAction]:
        del job
        if person != ADA:
            return ()
        return (
            PageAction(verb="again", label="Again", style="primary"),
            PageAction(verb="vary", label="Edit prompt", fields=FIELDS),
            PageAction(verb="strong", label="Vary strong 1", result=1),
            PageAction(verb="strong", label="Vary strong 2", result=2),
            PageAction(verb="use", label="Upscale", number=2, workflow="upscale"),
            PageAction(verb="delete", label="Delete", style="danger"),
        )

    async def press(
        self,
        person: str,
        job: Job,
        verb: str,
        *,
        number: int = 0,
        result: int = 0,
        workflow: str = "",
        fields: Mapping[str, str],
    ) -> JobId | None:
        self._refuse()
        self.done.append((person, job.id, verb, number, result, workflow, dict(fields)))
        return self.made.id if self.made is not None else None

    async def cancel(self, person: str, job: JobId) -> None:
        self._refuse()
        self.done.append((person, job, "cancel"))

    async def delete(self, person: str, job: JobId) -> None:
        self._refuse()
        self.done.append((person, job, "delete"))

    def _refuse(self) -> None:
        if self.refused is not None:
            raise self.refused


def fields_of(page: httpx.Response, label: str) -> tuple[str, dict[str, str]]:
    """Where the form of a button leads, and what a browser sends that changes nothing in it."""
    for form in re.findall(r"<form .*?</form>", page.text, re.DOTALL):
        button = re.search(r'<button type="submit"[^>]*>([^<]*)</button>', form)
        if button is None or button[1] != label:
            continue
        action = re.search(r'action="([^"]*)"', form)
        assert action is not None
        sent = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input [^>]*name="([^"]*)" value="([^"]*)"', form)
        }
        if "checkbox" in form and " checked" not in form:
            sent.pop("field.hires")
        for name, value in re.findall(r'<textarea name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL):
            sent[name] = html.unescape(value)
        for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
            chosen = re.search(r'<option value="([^"]*)" selected', options)
            sent[name] = html.unescape(chosen[1]) if chosen else ""
        return html.unescape(action[1]), sent
    raise AssertionError(label)


async def press(browser: Browser, page: httpx.Response, label: str, **changed: str) -> httpx.Response:
    """Press a button of a page, as a browser without scripts does."""
    action, sent = fields_of(page, label)
    return await browser.post(browser.origin + action, data=sent | changed, headers={"Origin": browser.origin})


async def test_a_picture_is_shown_large_with_all_that_made_it(tmp_path: Path) -> None:
    txt2img = load(WORKFLOWS, "txt2img")
    async with exhibition(tmp_path, names=Called({GRACE: "Grace"}), workflows={"txt2img": txt2img}) as shown:
        graph = {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream-xl.safetensors"}}}
        made = shown.job(
            "abc",
            "a fox\nin the snow",
            owner=GRACE,
            graph=graph,
            place="1/2/3",
            seed=7,
            values={"prompt": "a fox\nin the snow", "steps": 30},
        )
        await shown.show(made)
        await shown.paint(made, 640, 480)
        shown.site.clock.now = 1_799_990_000.0 + 7_300
        async with shown.site.browser(ADA) as ada:
            page = (await ada.get("/jobs/abc")).text
            assert re.search(
                r'<img src="/atelier/files/[^"]*/a-fox-in-the-snow-abc-1.png" width="640" height="480"', page
            )
            assert 'alt="a fox in the snow"' in page
            assert "Grace · " in page
            assert ">2 hours ago</time>" in page
            assert f"{txt2img.title} · Dream XL" in page
            assert "<dt>Steps</dt><dd>30</dd>" in page
            assert "<dt>Seed</dt><dd>7</dd>" in page
            assert re.search(r"<dt>Size</dt><dd>640 × 480 · \d+ kB</dd>", page)
            assert "<dt>Took</dt><dd>3.2 s</dd>" in page
            assert 'href="https://discord.com/channels/1/2/3"' in page
            assert re.search(r'<textarea id="copied"[^>]*>\n/txt2img prompt: a fox in the snow .*seed: 7', page)
            assert re.search(r'\?download=1" download="a-fox-in-the-snow-abc-1.png"', page)
            assert not re.search(r"\son\w+=|javascript:|style=", page)


async def test_the_pictures_of_a_batch_are_a_strip_and_each_can_be_large(tmp_path: Path) -> None:
    async with exhibition(tmp_path, actions=Recorder()) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("abc", files=("{}-1.png", "{}-2.png"))
        await shown.show(made)
        await shown.paint(made)
        first = (await ada.get("/jobs/abc?text=the")).text
        assert first.count('width="88" height="88"') == 2
        assert f'href="{BASE}/jobs/abc?text=the&amp;picture=2" data-stays>' in first
        assert "the-abc-abc-1.png" in first
        assert "Vary strong 1" in first
        assert "Vary strong 2" not in first
        second = (await ada.get("/jobs/abc?picture=2")).text
        assert "the-abc-abc-2.png" in second
        assert "Vary strong 2" in second
        for wrong in ("0", "3", "x", "-1", "9" * 50):
            assert "the-abc-abc-1.png" in (await ada.get(f"/jobs/abc?picture={wrong}")).text


async def test_each_kind_of_result_is_shown_as_what_it_is(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        for name, element in (
            ("mp4", "<video src="),
            ("mp3", "<audio src="),
            ("glb", '<p class="note">the-glb-glb-1.glb'),
        ):
            made = shown.job(name, files=("{}." + name,))
            await shown.show(made)
            await shown.paint(made)
            page = (await ada.get(f"/jobs/{name}")).text
            assert element in page
            assert "download=" in page
            assert "<img" not in page
        said = shown.job("words", files=())
        said.terminal_update = Finished(ServerName("studio"), texts=("a fox & <b>snow</b>",), job=said.id)
        await shown.show(said)
        assert '<div class="words">a fox &amp; &lt;b&gt;snow&lt;/b&gt;</div>' in (await ada.get("/jobs/words")).text


async def test_what_cannot_be_seen_looks_like_what_does_not_exist(tmp_path: Path) -> None:
    async with exhibition(tmp_path, actions=Recorder()) as shown, shown.site.browser(GRACE) as grace:
        await shown.show(shown.job("secret", channel="c2"), shown.job("seen"))
        for way in ("", "/state", "/delete"):
            secret, nothing = await grace.get(f"/jobs/secret{way}"), await grace.get(f"/jobs/nothing{way}")
            assert (secret.status_code, nothing.status_code) == (404, 404)
            assert secret.text.replace(grace.csrf, "") == nothing.text.replace(grace.csrf, "")
            assert reason_text(JobRemoved()) in secret.text
        for way in ("/do", "/delete"):
            sent = [
                await grace.send_form(f"/jobs/{job}{way}", csrf=grace.csrf, verb="again") for job in ("secret", "no")
            ]
            assert [answer.status_code for answer in sent] == [404, 404]
        # A part of an id is none.
        assert (await grace.get("/jobs/see")).status_code == 404
        assert (await grace.get("/jobs/seen")).status_code == 200


async def test_a_result_that_was_deleted_is_one_sentence(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        page = await ada.get("/jobs/abc")
        assert page.status_code == 200
        assert texts.DELETED in page.text
        assert texts.DOWNLOAD not in page.text
        assert "<img" not in page.text


async def test_the_picture_before_a_change_stands_beside_the_one_after_it(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        first = shown.job("first")
        await shown.paint(first)
        changed = Variation("strong", str(shown.folder / "first.png"))
        second = shown.job("second", variation=changed, parent=JobId("first"))
        await shown.show(first, second)
        await shown.paint(first)
        await shown.paint(second)
        page = (await ada.get("/jobs/second")).text
        address = re.search(r'<img src="([^"]*/before\.png)" alt="Before">', page)
        assert address is not None
        assert "<dt>Change</dt><dd>Vary strong</dd>" in page
        assert f"<section>\n    <h2>{texts.MADE_FROM}</h2>" in page
        assert f'href="{BASE}/jobs/first"' in page
        assert texts.MADE_INTO in (await ada.get("/jobs/first")).text


async def test_a_spoiler_is_hidden_on_its_page_and_so_is_what_it_was_made_from(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        shown.spoilers.add("hidden")
        first, batch = shown.job("first"), shown.job("batch", files=("{}-1.png", "{}-2.png"), place="hidden")
        changed = Variation("strong", str(shown.folder / "first.png"))
        second = shown.job("second", variation=changed, place="hidden")
        await shown.show(first, second, batch)
        for made in (first, second, batch):
            await shown.paint(made)
        assert (await ada.get("/jobs/second")).text.count('<details class="spoiler">') == 2
        assert 'width="88"' not in (await ada.get("/jobs/batch")).text
        assert '<details class="spoiler">' not in (await ada.get("/jobs/first")).text


async def test_relatives_that_one_may_not_see_are_not_named(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(GRACE) as grace, shown.site.browser(ADA) as ada:
        top, middle = shown.job("top", channel="c2"), shown.job("middle", parent=JobId("top"))
        child, waiting = shown.job("child", channel="c2", parent=middle.id), shown.job("waiting", parent=middle.id)
        waiting.terminal_update, waiting.state, waiting.notified = None, State.RUNNING, False
        await shown.show(top, middle, child, waiting)
        seen, hidden = (await ada.get("/jobs/middle")).text, (await grace.get("/jobs/middle")).text
        for name in ("top", "child"):
            assert f"{BASE}/jobs/{name}" in seen
            assert f"{BASE}/jobs/{name}" not in hidden
        assert f'<a href="{BASE}/jobs/waiting">{texts.STATES["running"]}</a>' in hidden


async def test_the_next_and_previous_pictures_are_those_of_the_same_search(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(
            *(shown.job(name, prompt) for name, prompt in (("1", "fox"), ("2", "cat"), ("3", "fox"), ("4", "fox")))
        )

        async def ways(address: str) -> list[str]:
            page = (await ada.get(address)).text
            links = [re.search(rf'rel="{rel}" href="([^"]*)"', page) for rel in ("prev", "next", "up")]
            return [html.unescape(link[1]) if link else "" for link in links]

        assert await ways("/jobs/3?text=fox") == [
            f"{BASE}/jobs/4?text=fox",
            f"{BASE}/jobs/1?text=fox",
            f"{BASE}/?text=fox&before=4",
        ]
        assert (await ways("/jobs/3"))[:2] == [f"{BASE}/jobs/4", f"{BASE}/jobs/2"]
        assert (await ways("/jobs/4"))[0] == ""
        assert (await ways("/jobs/1"))[1] == ""
        up = (await ways("/jobs/3?text=fox"))[2]
        assert f'href="{BASE}/jobs/3?text=fox"' in (await ada.get(ada.origin + up)).text
        assert (await ways("/jobs/3?from=soon"))[0] == f"{BASE}/jobs/4?from=soon"


async def test_who_saves_settings_reads_on_the_same_page_that_they_are_saved(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.made = None
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        page = await ada.get("/jobs/abc?text=abc")
        assert texts.KEPT not in page.text
        answer = await ada.send_form("/jobs/abc/do?text=abc", csrf=ada.csrf, verb="keep")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/jobs/abc?text=abc&kept=1")
        assert recorder.done == [(ADA, "abc", "keep", 0, 0, "", {})]
        assert texts.KEPT in (await ada.get(ada.origin + answer.headers["location"])).text


async def test_an_action_makes_a_job_and_leads_to_its_page(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        recorder.made = shown.job("new")
        recorder.made.terminal_update, recorder.made.state = None, State.ACCEPTED
        await shown.show(shown.job("abc", files=("{}-1.png", "{}-2.png")), recorder.made)
        page = await ada.get("/jobs/abc?text=abc&picture=2")
        answer = await press(ada, page, "Again")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/jobs/new")
        await press(ada, page, "Vary strong 2")
        await press(ada, page, "Upscale")
        await press(ada, page, texts.START, **{"field.prompt": "a dog", "field.sampler": "dpm"})
        filled = {"prompt": "a dog", "steps": "20", "sampler": "dpm", "hires": "true"}
        assert recorder.done == [
            (ADA, "abc", "again", 0, 0, "", {}),
            (ADA, "abc", "strong", 0, 2, "", {}),
            (ADA, "abc", "use", 2, 0, "upscale", {}),
            (ADA, "abc", "vary", 0, 0, "", filled),
        ]
        new = (await ada.get("/jobs/new")).text
        assert texts.STATES["waiting"] in new
        assert f'href="{BASE}/queue">{texts.SEE_QUEUE}' in new
        recorder.made = None
        assert (await press(ada, page, "Again")).headers["location"] == f"{BASE}/jobs/abc"


async def test_a_refusal_is_one_sentence_and_all_fields_are_as_they_were_typed(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        recorder.refused = WorkflowError(Draining())
        page = await ada.get("/jobs/abc")
        typed = {"field.prompt": "\n a dog & </textarea><b>", "field.steps": '"many"', "field.sampler": "magic"}
        action, sent = fields_of(page, texts.START)
        sent.pop("field.hires")
        answer = await ada.post(ada.origin + action, data=sent | typed, headers={"Origin": ada.origin})
        assert answer.status_code == 409
        assert reason_text(Draining()) in answer.text
        assert '<details class="action" open>' in answer.text
        again, kept = fields_of(answer, texts.START)
        assert again == action
        assert {name: kept[name] for name in typed} == typed
        assert "field.hires" not in kept
        assert "</textarea><b>" not in answer.text
        assert recorder.done == []
        recorder.refused = None
        assert (await ada.post(ada.origin + again, data=kept, headers={"Origin": ada.origin})).status_code == 303


async def test_what_was_typed_stays_although_the_action_is_not_offered_any_more(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        recorder.refused = WorkflowError(Draining())
        sent = {"csrf": ada.csrf, "verb": "edit", "field.prompt": "a dog\n& a cat", "field.steps": "30"}
        answer = await ada.send_form("/jobs/abc/do", **sent)
        assert (answer.status_code, reason_text(Draining()) in answer.text) == (409, True)
        _, kept = fields_of(answer, texts.SAVE)
        assert (kept["verb"], kept["field.prompt"], kept["field.steps"]) == ("edit", "a dog\n& a cat", "30")


async def test_nothing_is_deleted_before_the_page_has_asked(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        assert f'href="{BASE}/jobs/abc/delete">Delete' in (await ada.get("/jobs/abc")).text
        asked = await ada.get("/jobs/abc/delete")
        assert texts.DELETE_WARNING in asked.text
        assert recorder.done == []
        recorder.refused = WorkflowError(MessageNotDeleted())
        refused = await press(ada, asked, "Delete")
        assert (refused.status_code, reason_text(MessageNotDeleted()) in refused.text) == (409, True)
        recorder.refused = None
        answer = await press(ada, asked, "Delete")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/")
        assert recorder.done == [(ADA, "abc", "delete")]


async def test_no_form_of_another_page_does_anything(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        for way in ("do", "delete"):
            assert (await ada.send_form(f"/jobs/abc/{way}", verb="again")).status_code == 403
            foreign = await ada.send_form(
                f"/jobs/abc/{way}", origin="https://evil.example", csrf=ada.csrf, verb="again"
            )
            assert foreign.status_code == 403
        assert (await ada.get("/jobs/abc/do")).status_code in {404, 405}
        assert recorder.done == []


async def test_without_actions_there_are_no_buttons(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        await shown.show(shown.job("abc"))
        assert "/jobs/abc/do" not in (await ada.get("/jobs/abc")).text
        assert (await ada.send_form("/jobs/abc/do", csrf=ada.csrf, verb="again")).status_code == 404
        assert (await ada.get("/jobs/abc/delete")).status_code == 404


async def test_a_job_that_is_being_made_says_how_far_it_is_until_it_ends(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, actions=recorder) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("abc")
        ended, made.terminal_update = made.terminal_update, None
        made.state, made.notified = State.RUNNING, False
        await shown.show(made)
        assert f'hx-get="{BASE}/jobs/abc/state"' in (await ada.get("/jobs/abc")).text
        assert (await ada.get("/jobs/abc/state")).text == f"<p>{texts.STATES['running']}</p>"
        assert (await ada.send_form("/jobs/abc/do", csrf=ada.csrf, verb="cancel")).status_code == 303
        assert recorder.done == [(ADA, "abc", "cancel")]
        made.terminal_update, made.state = ended, State.FINISHED
        await shown.show(made)
        assert (await ada.get("/jobs/abc/state")).headers["HX-Refresh"] == "true"
        assert "/jobs/abc/state" not in (await ada.get("/jobs/abc")).text


async def test_a_job_that_failed_says_why(tmp_path: Path) -> None:
    async with exhibition(tmp_path) as shown, shown.site.browser(ADA) as ada:
        made = shown.job("abc")
        made.terminal_update = Failed(job=made.id, reason=OutOfMemory("KSampler"))
        noted = shown.job("noted")
        noted.terminal_update = Finished(ServerName("s"), notes=(NothingProduced(),), texts=("x",), job=noted.id)
        await shown.show(made, noted)
        assert html.escape(reason_text(OutOfMemory("KSampler"))) in (await ada.get("/jobs/abc")).text.replace(
            "&#39;", "&#x27;"
        )
        assert reason_text(NothingProduced()) in html.unescape((await ada.get("/jobs/noted")).text)


async def test_what_people_write_is_never_a_part_of_the_page(tmp_path: Path) -> None:
    recorder = Recorder()
    async with exhibition(tmp_path, names=Called({GRACE: HOSTILE}), actions=recorder) as shown:
        graph = {"1": {"class_type": "X", "inputs": {"ckpt_name": HOSTILE}}}
        values = {"prompt": HOSTILE, "negative": HOSTILE, HOSTILE: HOSTILE}
        made = shown.job("abc", owner=GRACE, workflow=HOSTILE, graph=graph, values=values, files=('{}"onerror=x.png',))
        await shown.show(made, shown.job("child", HOSTILE, parent=JobId("abc")))
        await shown.paint(made)
        async with shown.site.browser(ADA) as ada:
            page = (await ada.get("/jobs/abc")).text
            assert page.count("&lt;script&gt;") > 5
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert '"onerror' not in page
            assert "{{ 7 * 7 }}" in page


def test_each_state_of_a_job_has_its_words(tmp_path: Path) -> None:
    del tmp_path
    shown = [state_of(_job(state)) for state in (State.ACCEPTED, State.QUEUED, State.RUNNING, State.FINISHED)]
    assert shown == [texts.STATES[name] for name in ("waiting", "waiting", "running", "fetching")]


def _job(state: State) -> Job:
    from app.core.jobs.job import JobRequest

    return Job(request=JobRequest(job=JobId("a"), workflow="w", graph={}, folder=""), state=state)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7_300, "2 hours ago"),
        (86_400, "1 day ago"),
        (15 * 86_400, "2 weeks ago"),
        (70 * 86_400, "2 months ago"),
        (800 * 86_400, "2 years ago"),
    ],
)
def test_an_age_is_said_in_words(seconds: float, text: str) -> None:
    assert texts.ago(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "1 kB"), (999_499, "999 kB"), (1_400_000, "1.4 MB")])
def test_a_size_is_said_in_words(size: int, text: str) -> None:
    assert texts.bytes_text(size) == text

"""The admin of runs: list, page, live part, cancel, run again, permissions."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scheduling.models import Cause, Run, RunLog, RunStatus
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduling/run/"


def running(**values: object) -> Run:
    return factories.run(status=RunStatus.RUNNING, claim_token="t", started_at=timezone.now(), **values)


def ended(**values: object) -> Run:
    now = timezone.now()
    return factories.run(
        **{"status": RunStatus.FAILED, "started_at": now - timedelta(seconds=3), "finished_at": now, **values}
    )


def test_the_list_says_the_reason_in_the_row(admin_client: Client) -> None:
    ended(schedule_name="Front pages", outcome="The disk is full.", summary={"new": 3, "failed": 0})
    page = admin_client.get(LIST).content.decode()
    for words in ("Front pages", "failed", "The disk is full.", "new 3", "3.0 s", "by hand"):
        assert words in page
    assert "failed 0" not in page


def test_the_list_costs_the_same_queries_whatever_its_rows(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(LIST).status_code == 200
        return len(captured)

    for _number in range(2):
        ended(schedule=factories.schedule())
    few = queries()
    for _number in range(20):
        ended(schedule=factories.schedule(), requested_by=factories.user())
    assert queries() == few <= 12


def test_the_page_of_a_run_shows_all_that_is_known(admin_client: Client) -> None:
    run = ended(
        job="echo",
        parameters={"text": "hello"},
        schedule_name="Front pages",
        outcome="The disk is full.",
        traceback="Traceback: OSError",
        summary={"new": 3},
    )
    RunLog.objects.bulk_create(RunLog.lines(run.pk, [(timezone.now(), 20, "began"), (timezone.now(), 40, "broke")]))
    page = admin_client.get(run.get_absolute_url()).content.decode()
    for words in (
        "Front pages",
        "text: hello",
        "The disk is full.",
        "Traceback: OSError",
        "began",
        "broke",
        "Run again",
    ):
        assert words in page
    errors_only = admin_client.get(f"{run.get_absolute_url()}?level=40").content.decode()
    assert "broke" in errors_only
    assert "began" not in errors_only


def test_what_a_job_writes_is_shown_as_text(admin_client: Client) -> None:
    run = ended(outcome="<script>alert(1)</script>")
    RunLog.objects.bulk_create(RunLog.lines(run.pk, [(timezone.now(), 20, "<img src=x onerror=y>")]))
    page = admin_client.get(run.get_absolute_url()).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_the_live_part_asks_again_only_while_the_run_is_active(admin_client: Client) -> None:
    run = running(progress_done=2, progress_total=8, progress_message="Harbour Courier")
    address = reverse("admin:scheduling_run_live", args=[run.pk])
    answer = admin_client.get(address)
    assert answer["Newss-Next"] == "1"
    assert "2 / 8" in answer.content.decode()
    assert "Harbour Courier" in answer.content.decode()
    Run.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=timezone.now())
    assert admin_client.get(address)["Newss-Next"] == "0"


def test_the_live_part_costs_few_queries(admin_client: Client) -> None:
    schedule = factories.schedule()
    for _number in range(5):
        ended(schedule=schedule)
    run = running(schedule=schedule)
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(reverse("admin:scheduling_run_live", args=[run.pk]))
    assert len(captured) <= 8


def test_the_page_says_how_long_it_usually_takes(admin_client: Client) -> None:
    schedule = factories.schedule()
    now = timezone.now()
    for seconds in (10, 30, 60):
        ended(schedule=schedule, started_at=now - timedelta(seconds=seconds), finished_at=now)
    page = admin_client.get(running(schedule=schedule).get_absolute_url()).content.decode()
    assert "usually 30 s" in page


def test_cancel_ends_a_queued_run_and_asks_a_running_one(admin_client: Client, admin_user: object) -> None:
    queued, active = factories.run(), running()
    for run in (queued, active):
        answer = admin_client.post(reverse("admin:scheduling_run_cancel", args=[run.pk]))
        assert answer["Location"] == run.get_absolute_url()
        run.refresh_from_db()
        assert run.cancel_requested_by == admin_user
    assert queued.status == RunStatus.CANCELLED
    assert active.status == RunStatus.RUNNING
    assert "has asked it to stop" in admin_client.get(active.get_absolute_url()).content.decode()


def test_run_again_starts_a_run_with_the_same_parameters(admin_client: Client) -> None:
    run = ended(job="echo", parameters={"text": "hello"})
    answer = admin_client.post(reverse("admin:scheduling_run_again", args=[run.pk]))
    again = Run.objects.exclude(pk=run.pk).get()
    assert answer["Location"] == again.get_absolute_url()
    assert (again.job, again.parameters, again.cause, again.parent) == ("echo", {"text": "hello"}, Cause.MANUAL, run)


@pytest.mark.parametrize(("name", "permission"), [("cancel", "cancel_run"), ("again", "start_run")])
def test_buttons_are_refused_and_not_shown_without_their_permission(client: Client, name: str, permission: str) -> None:
    run = running() if name == "cancel" else ended()
    address = reverse(f"admin:scheduling_run_{name}", args=[run.pk])
    client.force_login(factories.user("scheduling.view_run"))
    assert client.post(address).status_code == 403
    assert address not in client.get(run.get_absolute_url()).content.decode()
    client.force_login(factories.user("scheduling.view_run", f"scheduling.{permission}"))
    assert address in client.get(run.get_absolute_url()).content.decode()
    assert client.post(address).status_code == 302


def test_a_run_is_not_shown_to_those_who_may_not_see_it(client: Client) -> None:
    run = ended()
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.get(run.get_absolute_url()).status_code == 403
    assert client.get(reverse("admin:scheduling_run_live", args=[run.pk])).status_code == 403


def test_many_are_cancelled_at_once(admin_client: Client) -> None:
    runs = [factories.run(), factories.run(), ended()]
    admin_client.post(LIST, {"action": "cancel_many", "_selected_action": [run.pk for run in runs]})
    assert Run.objects.filter(status=RunStatus.CANCELLED).count() == 2


def test_nobody_writes_a_run_by_hand(admin_client: Client) -> None:
    run = ended()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert 'name="_save"' not in admin_client.get(run.get_absolute_url()).content.decode()


def test_the_log_is_searched_and_is_had_whole_as_a_file(admin_client: Client) -> None:
    run = ended()
    lines = [(timezone.now(), 20, f"line {number}") for number in range(3)] + [(timezone.now(), 30, "odd one")]
    RunLog.objects.bulk_create(RunLog.lines(run.pk, lines))
    found = admin_client.get(f"{run.get_absolute_url()}?q=ODD").content.decode()
    assert "odd one" in found
    assert "line 1" not in found
    answer = admin_client.get(reverse("admin:scheduling_run_log", args=[run.pk]))
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}.log"'
    written = b"".join(answer.streaming_content).decode().splitlines()
    assert [line.split(" ", 1)[1].split() for line in written[:1]] == [["info", "line", "0"]]
    assert len(written) == 4


def test_a_long_log_says_that_only_its_end_is_shown(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.admin.run_page.LOG_LINES", 2)
    run = ended()
    RunLog.objects.bulk_create(RunLog.lines(run.pk, [(timezone.now(), 20, f"line {n}") for n in range(3)]))
    page = admin_client.get(run.get_absolute_url()).content.decode()
    assert "line 2" in page
    assert "line 0" not in page
    assert "the file has all" in page


def test_the_log_is_for_those_who_may_see_the_run(client: Client) -> None:
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.get(reverse("admin:scheduling_run_log", args=[ended().pk])).status_code == 403


def test_a_run_leads_to_its_neighbours_and_to_what_it_caused(admin_client: Client) -> None:
    schedule = factories.schedule()
    first, middle, last = (ended(schedule=schedule) for _number in range(3))
    ended(schedule=factories.schedule())
    retry = factories.run(parent=middle, cause=Cause.RETRY)
    page = admin_client.get(middle.get_absolute_url())
    assert (page.context["previous"], page.context["next"]) == (first, last)
    assert f"run {retry.pk}" in page.content.decode()
    assert f"run {middle.pk}" in admin_client.get(retry.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status__exact=failed", {"failed"}),
        ("status__exact=failed&not=status__exact", {"succeeded", "queued", "lost"}),
        ("status__exact=bad", {"failed", "lost"}),
        ("status__exact=active", {"queued"}),
        ("longer=60", {"lost"}),
        ("longer=x", {"failed", "succeeded", "queued", "lost"}),
    ],
)
def test_the_list_is_filtered(admin_client: Client, query: str, shown: set[str]) -> None:
    now = timezone.now()
    ended()
    ended(status=RunStatus.SUCCEEDED)
    ended(status=RunStatus.LOST, started_at=now - timedelta(minutes=2), finished_at=now)
    factories.run()
    assert {run.status for run in admin_client.get(f"{LIST}?{query}").context["cl"].result_list} == shown


def test_the_list_is_filtered_by_the_tags_of_the_schedule(admin_client: Client) -> None:
    schedule = factories.schedule()
    tag = schedule.tags.create(name="daily")
    run = ended(schedule=schedule)
    ended()
    assert admin_client.get(f"{LIST}?tag={tag.pk}").context["cl"].result_list == [run]


def test_a_duration_is_drawn_against_the_usual_one(admin_client: Client) -> None:
    schedule = factories.schedule()
    now = timezone.now()
    for seconds in (10, 10, 30):
        ended(schedule=schedule, started_at=now - timedelta(seconds=seconds), finished_at=now)
    page = admin_client.get(LIST).content.decode()
    assert "usually 10 s" in page
    assert page.count("newss-bar-amber") == 1


def test_many_are_run_again_except_those_that_have_not_ended(admin_client: Client) -> None:
    runs = [ended(), ended(), factories.run()]
    admin_client.post(LIST, {"action": "again_many", "_selected_action": [run.pk for run in runs]})
    assert Run.objects.filter(parent__isnull=False).count() == 2


def test_runs_with_nothing_due_are_folded_under_the_run_before_them(admin_client: Client) -> None:
    schedule, other = factories.schedule(name="Front pages"), factories.schedule(name="Quiet one")
    start = timezone.now() - timedelta(hours=1)

    def past(minutes: int, **values: object) -> Run:
        return ended(
            status=RunStatus.SUCCEEDED,
            queued_at=start + timedelta(minutes=minutes),
            schedule=schedule,
            schedule_name="Front pages",
            **values,
        )

    for minutes in (0, 4):
        past(minutes, outcome=f"Worked at {minutes}.")
    for minutes in (1, 2, 3, 5):
        past(minutes, outcome="Looked.", nothing_due=True)
    ended(schedule=other, schedule_name="Quiet one", nothing_due=True, outcome="Looked.")
    page = admin_client.get(LIST).content.decode()
    table = page.partition('id="result_list"')[2].partition("</table>")[0]
    assert "Looked." not in table and "Quiet one" not in table, "only the filter names the schedule"
    assert page.count("then 1 run with nothing due") == 1
    assert page.count("then 3 runs with nothing due") == 1
    assert admin_client.get(f"{LIST}?idle=only").content.decode().count('title="Looked."') == 5
    everything = admin_client.get(f"{LIST}?idle=all").content.decode()
    assert everything.count('title="Looked."') == 5 and "Worked at 4." in everything
    assert "with nothing due</a>" not in everything


def test_runs_are_filtered_by_class_of_error_and_end(admin_client: Client) -> None:
    ended(schedule_name="Front pages", error_class="name_not_found", outcome="No such name.")
    ended(schedule_name="Back pages", error_class="LookupError", outcome="No such thing.")
    page = admin_client.get(f"{LIST}?error=name_not_found").content.decode()
    assert "No such name." in page and "No such thing." not in page
    assert "?error=LookupError" in page, "the other class is offered"
    tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
    none = admin_client.get(LIST, {"finished_at__gte": tomorrow}).content.decode()
    assert "No such name." not in none


def test_a_note_is_left_changed_and_taken_away_by_permission(client: Client) -> None:
    run = ended(outcome="Broke.")
    address = reverse("admin:scheduling_run_note", args=[run.pk])
    viewer = factories.user("scheduling.view_run")
    client.force_login(viewer)
    assert client.post(address, {"note": "mine"}).status_code == 403
    assert "Leave a note" not in client.get(run.get_absolute_url()).content.decode()
    editor = factories.user("scheduling.view_run", "scheduling.change_run")
    client.force_login(editor)
    page = client.post(address, {"note": " The host moved. <b>\n"}, follow=True).content.decode()
    assert "The host moved. &lt;b&gt;" in page and str(editor) in page
    assert "The host moved." in client.get(LIST).content.decode()
    run.refresh_from_db()
    assert (run.note, run.noted_by, run.outcome) == ("The host moved. <b>", editor, "Broke.")
    refused = client.post(address, {"note": "x" * 2_001}).content.decode()
    assert "2000" in refused and "x" * 2_001 in refused, "the message is shown, and nothing typed is lost"
    client.post(address, {"note": ""})
    run.refresh_from_db()
    assert (run.note, run.noted_by, run.noted_at) == ("", None, None)
    assert client.get(address).status_code == 405


def test_run_again_clicked_twice_is_one_run(admin_client: Client) -> None:
    alone = ended(job="echo", parameters={"text": "x"})
    scheduled = ended(schedule=factories.schedule(concurrency_policy="allow"))
    for run in (alone, scheduled):
        page = admin_client.get(run.get_absolute_url()).content.decode()
        found = re.search(r'name="request_key" value="(\w+)"', page)
        assert found
        address = reverse("admin:scheduling_run_again", args=[run.pk])
        for _click in range(2):
            admin_client.post(address, {"request_key": found[1]})
        assert run.children.count() == 1


def test_all_runs_that_match_are_cancelled_in_batches(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.admin.paging.COUNTED_AHEAD", 1)
    monkeypatch.setattr("scheduling.admin.runs.RunAdmin.list_per_page", 2)
    monkeypatch.setattr("scheduling.admin.in_batches.BATCH", 2)
    queued = [factories.run() for _number in range(6)]
    running = factories.running()
    done = factories.run(status=RunStatus.SUCCEEDED, started_at=timezone.now(), finished_at=timezone.now())
    data = {"action": "cancel_many", "_selected_action": [done.pk], "select_across": "1"}
    assert "all 7 runs that match" in admin_client.post(LIST, data).content.decode()
    page = admin_client.post(LIST, {**data, "sure": "1"}, follow=True).content.decode()
    assert "Cancel: 7 runs." in page
    assert {run.status for run in Run.objects.filter(pk__in=[run.pk for run in queued])} == {RunStatus.CANCELLED}
    running.refresh_from_db()
    assert running.cancel_requested_at is not None
    # To run so many again is refused.
    page = admin_client.post(LIST, {**data, "action": "again_many"}, follow=True).content.decode()
    assert "More than 4 match" in page and Run.objects.count() == 8

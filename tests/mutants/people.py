"""Changes of the rules that protect people on the web page: who sees what, for how long, and whose form counts.

Somebody thought of each of them. Where one survived at first, its test has what was missing.
"""

from __future__ import annotations

from tests.mutants.change import Change

GALLERY = "tests/service/results/test_gallery.py::"
RECORDS = "tests/journal/tables/test_gallery.py::"
LIVE = "tests/service/queue/test_live_queue.py::"
FILES = "tests/http/page/results/test_files.py::"
QUEUE = "tests/http/page/queue/test_page.py::"
FORMS = "tests/http/page/test_forms.py::"
LOGIN = "tests/http/page/login/test_login.py::"
SESSIONS = "tests/http/page/protection/test_sessions.py::"
SIGNING = "tests/http/page/protection/test_signing.py::"
ADDRESSES = "tests/http/page/protection/test_addresses.py::"
RIGHTS = "tests/discord/gateway/guilds/test_visibility.py::"
ACTIONS = "tests/discord/test_page_actions.py::"
DELETIONS = "tests/discord/gateway/guilds/test_deletions.py::"

PEOPLE: tuple[Change, ...] = (
    # Who sees an entry, a relative, a thumbnail, a file.
    Change(
        symbol="app.service.results.gallery:Gallery._shows",
        old="if hidden or not guild:",
        new="if not guild:",
        tests=(GALLERY + "test_what_is_hidden_is_hidden_everywhere",),
    ),
    Change(
        symbol="app.service.results.gallery:Gallery._seen",
        old='"others" if row is None and is_shown(job)',
        new='"" if row is None and is_shown(job)',
        tests=(GALLERY + "test_older_results_are_added_for_others_only_if_they_are_kept_and_were_not_deleted",),
    ),
    Change(
        symbol="app.service.results.gallery:Gallery._seen",
        old="if not await self._shows(viewer, request.owner, request.guild, request.shown_in, hidden):",
        new="if not row and not job:",
        tests=(GALLERY + "test_relatives_are_those_that_one_may_see",),
    ),
    Change(
        symbol="app.service.results.gallery:Gallery._row",
        old="row if await self._shows(viewer, entry.owner, entry.guild, entry.channel, row.hidden) else None",
        new="row",
        tests=(
            GALLERY + "test_files_and_thumbnails_are_for_those_who_may_see_the_result_and_only_while_they_are_kept",
        ),
    ),
    Change(
        symbol="app.service.results.gallery:_Sight.shows",
        old="self._known.get((guild, channel), False)",
        new="self._known.get((guild, channel), True)",
        tests=(GALLERY + "test_nothing_can_be_chosen_of_channels_that_were_not_asked_for",),
    ),
    Change(
        symbol="app.journal.tables.gallery:_visible_to",
        old="g.hidden = 0 AND ",
        new="",
        tests=(RECORDS + "test_an_entry_is_hidden_from_others_or_from_everybody_and_stays_so",),
    ),
    Change(
        symbol="app.journal.tables.gallery:_visible_to",
        old="g.guild > '' AND ",
        new="",
        tests=(RECORDS + "test_others_see_nothing_without_a_guild_and_nothing_of_channels_that_are_left_out",),
    ),
    # What Discord says about a channel.
    Change(
        symbol="app.discord.gateway.guilds.visibility:GuildVisibility._access",
        old='added = channel.kind != "private_thread" or granted & Permissions.MANAGE_THREADS',
        new="added = True",
        tests=(RIGHTS + "test_nobody_sees_more_or_less_than_discord_would_show",),
    ),
    Change(
        symbol="app.discord.gateway.guilds.remembered:Remembered._ask",
        old="began + self._current",
        new="self._clock() + self._current",
        tests=(RIGHTS + "test_an_answer_counts_from_when_it_was_asked_for",),
    ),
    # Hidden once it was deleted.
    Change(
        symbol="app.discord.requests.job_actions:JobActions.delete_files",
        old="everybody=True",
        new="everybody=False",
        tests=(ACTIONS + "test_a_result_is_deleted_in_discord_by_who_may",),
    ),
    Change(
        symbol="app.discord.gateway.guilds.deletions:Deletions._several",
        old="await self._pass_on(list(map(str, event.message_ids)))",
        new="pass",
        tests=(DELETIONS + "test_every_deleted_message_reaches_the_core",),
    ),
    Change(
        symbol="app.journal.tables.gallery:hide",
        old="hidden = max(hidden, excluded.hidden)",
        new="hidden = excluded.hidden",
        tests=(RECORDS + "test_an_entry_is_hidden_from_others_or_from_everybody_and_stays_so",),
    ),
    Change(
        symbol="app.journal.migrations:MIGRATIONS",
        old="        DELETE FROM gallery WHERE number = old.number;\n",
        new="",
        tests=(RECORDS + "test_an_entry_goes_with_its_job_and_its_words_leave_the_file",),
    ),
    # The addresses of files.
    Change(
        symbol="app.http.page.results.files:Files._answer",
        old=" or signed.person != viewer.person",
        new="",
        tests=(FILES + "test_an_address_is_worth_nothing_to_others_or_changed",),
    ),
    Change(
        symbol="app.http.page.results.files:Files._answer",
        old="kind != OTHER and ",
        new="",
        tests=(FILES + "test_only_pictures_videos_and_sounds_are_shown_and_all_else_is_downloaded",),
    ),
    Change(
        symbol="app.http.page.results.files:before_of",
        old="picture and is_ours and ",
        new="picture and ",
        tests=(FILES + "test_a_picture_that_was_changed_is_served_only_from_our_folders",),
    ),
    # The queue, and while it is open.
    Change(
        symbol="app.service.queue.stream:Stream._renew_rights",
        old="needed if is_due else needed - self._rights.keys()",
        new="needed - self._rights.keys()",
        tests=(LIVE + "test_a_revoked_right_takes_the_content_away",),
    ),
    Change(
        symbol="app.service.queue.stream:Stream._new_results",
        old=" and self._sees(ending.place)",
        new="",
        tests=(LIVE + "test_nobody_is_sent_anything_of_a_job_that_they_may_not_see",),
    ),
    Change(
        symbol="app.service.queue.live_queue:LiveQueue.preview",
        old=" or not await self.may_see(viewer, shown.place)",
        new="",
        tests=(QUEUE + "test_previews_have_addresses_for_one_person_and_some_time",),
    ),
    Change(
        symbol="app.http.page.queue.page:QueuePage._preview",
        old=" and signed.person == viewer.person",
        new="",
        tests=(QUEUE + "test_previews_have_addresses_for_one_person_and_some_time",),
    ),
    Change(
        symbol="app.http.page.queue.page:QueuePage._talk",
        old="if not is_logged_in():",
        new="if False:",
        tests=(QUEUE + "test_the_stream_of_somebody_who_logs_out_ends",),
    ),
    Change(
        symbol="app.service.queue.live_queue:LiveQueue.check_room",
        old="of_person >= MOST_OF_ONE",
        new="of_person > MOST_OF_ONE",
        tests=(LIVE + "test_nobody_has_too_many_pages_open",),
    ),
    # Forms, sessions, links.
    Change(
        symbol="app.http.page.protection.sessions:Sessions.is_csrf_token",
        old="(signed.person, signed.parts) == (session.person, (session.id,))",
        new="signed.person == session.person",
        tests=(FORMS + "test_a_form_without_the_token_of_its_session_is_refused",),
    ),
    Change(
        symbol="app.http.page.forms:comes_from_here",
        old="not visit.context.address.is_own_origin(origin, host)",
        new="False",
        tests=(FORMS + "test_a_form_of_another_page_is_refused_although_it_has_the_token",),
    ),
    Change(
        symbol="app.http.page.forms:_read",
        old="> MAX_FORM",
        new="> 2 * MAX_FORM",
        tests=(FORMS + "test_fifty_megabytes_are_refused_however_they_are_sent",),
    ),
    Change(
        symbol="app.http.page.context:Visit.log_in",
        old="self._end()",
        new="self.changed = True",
        tests=(LOGIN + "test_a_link_logs_its_person_in_once",),
    ),
    Change(
        symbol="app.http.page.login.links:LoginLinks.use",
        old="self._used[ident] = None",
        new="pass",
        tests=(LOGIN + "test_a_link_logs_its_person_in_once",),
    ),
    Change(
        symbol="app.http.page.login.login:Login._end",
        old=" or signed.parts[:1] != (session.id,)",
        new="",
        tests=(LOGIN + "test_a_login_that_began_in_another_browser_ends_nowhere",),
    ),
    Change(
        symbol="app.http.page.protection.signing:Signer._serializer",
        old='salt=f"atelier {purpose}"',
        new='salt="atelier"',
        tests=(SIGNING + "test_a_token_is_worth_nothing_for_another_purpose_or_with_another_key",),
    ),
    Change(
        symbol="app.http.page.protection.signing:Signer.read",
        old=" or until <= self._clock()",
        new="",
        tests=(SIGNING + "test_what_was_signed_is_read_with_its_person_and_parts_until_it_is_over",),
    ),
    Change(
        symbol="app.http.page.protection.addresses:PageAddress.own_path",
        old='text[len(self.base) :].startswith("//") or ',
        new="",
        tests=(ADDRESSES + "test_a_login_leads_nowhere_else",),
    ),
    # Who presses a button from the page.
    Change(
        symbol="app.discord.requests.page_actions:_Asker.check_place",
        old=" or not self.standing.bot_posts",
        new="",
        tests=(ACTIONS + "test_who_may_not_write_there_or_see_it_makes_nothing",),
    ),
    Change(
        symbol="app.discord.requests.page_actions:DiscordPageActions._asker",
        old="own or (standing is not None and standing.sees)",
        new="own or standing is not None",
        tests=(ACTIONS + "test_who_may_not_write_there_or_see_it_makes_nothing",),
    ),
)
"""Beside `tests.mutants.table.CHOSEN`, so that the half of that table that was drawn stays a half."""

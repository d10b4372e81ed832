"""The sentences for requests that are refused, and for workflows that are not offered."""

from __future__ import annotations

from math import isfinite
from typing import assert_never

from app.service import reasons
from app.texts.wording import duration_text, ended, listed, path_text, quoted, shortened, suggest


def service_text(reason: reasons.ServiceReason) -> str:
    """Return the sentence for a refused request."""
    match reason:
        case reasons.NotYours(action=action):
            done = {"cancel": "cancel it", "delete": "delete it", "edit": "edit it"}.get(action, "do that")
            return f"Only the person who asked for this (or a moderator) can {done}."
        case reasons.NotAModerator():
            return "Only moderators of this server can do that."
        case reasons.IsBanned(reason=words, left=left):
            end = f" for another {duration_text(max(1.0, left))}" if left is not None and isfinite(left) else ""
            why = f" Reason: {ended(words)}" if words.strip() else ""
            return f"You are banned on this server{end}, so you cannot make anything here.{why}"
        case reasons.AboveCeiling(jobs=0, seconds=seconds):
            return f"The people who run this bot allow at most {seconds} GPU seconds a day for each person."
        case reasons.AboveCeiling(jobs=jobs):
            return f"The people who run this bot allow at most {jobs} jobs for each person."
        case reasons.NotBanned():
            return "There is no such ban. See /limits for all."
        case reasons.NotForYou(workflow=workflow):
            return f"Only some people here can use {quoted(workflow)}. Ask the people who run this server."
        case reasons.NotOffered(workflow=workflow):
            return f"{quoted(workflow)} is not available now. Ask the people who run this bot."
        case reasons.WorkflowRemoved(workflow=workflow):
            return f"The people who run this bot removed the workflow {quoted(workflow)}."
        case reasons.TakesNoResult(workflow=workflow):
            return f"{quoted(workflow)} no longer takes a result."
        case reasons.ResultNotKept():
            return "The result was deleted. Make it again first."
        case reasons.VariationNotRunnable(workflow=workflow):
            return f"The image server lacks what this needs for {quoted(workflow)}. Ask the people who run this bot."
        case reasons.NoPlaceForResult():
            return "Discord did not take the result. Try again in a few minutes."
        case reasons.MessageNotDeleted():
            return "The files are deleted, but I cannot delete the message in Discord. Ask a moderator."
        case reasons.CannotWriteThere():
            return "You cannot write in the channel of this result, so nothing new can be made there for you."
        case reasons.BotCannotPost():
            return "I cannot post in the channel of this result. Use the command in another channel."
        case reasons.PlaceNotKnown():
            return "Discord does not say now whether you can write in that channel. Try again in a minute."
        case reasons.AcceptanceUnknown():
            return "The bot is busy. Look in the queue for your request before you ask again."
        case reasons.TooManyPagesOpen():
            return "Too many pages are open to keep this one up to date. Close one and reload."
        case reasons.FewerResults(count=count):
            return f"There are only {count} results here."
        case reasons.InputNotKept():
            return "The file that this was made from was deleted. Start again with another file."
        case reasons.FileMissing(workflow=workflow, slot=slot):
            return f"{quoted(workflow)} also needs {shortened(slot)}. Use its command and attach the file."
        case reasons.Draining():
            return "The bot is about to restart. Ask again in a moment."
        case reasons.CannotRecord():
            return "The bot cannot save new requests right now. Ask again in a minute."
        case reasons.ValueMissing(workflow=workflow, slot=slot):
            return f"{quoted(workflow)} needs {shortened(slot)}."
        case reasons.SlotRemoved(workflow=workflow, slot=slot):
            return f"{quoted(workflow)} no longer has {shortened(slot)}."
        case reasons.TextTooLong(slot=slot, length=length, most=most):
            return f"{shortened(slot)} has {length} characters. Use at most {most}."
        case reasons.SlotTakesNoFile(workflow=workflow, slot=slot):
            return f"{quoted(workflow)} was changed and takes no file for {shortened(slot)} now. Start again."
        case reasons.JobForgotten():
            return "This job is too old to continue. Start again with a command."
        case reasons.JobRemoved():
            return "This job was removed because it is old. Start again with a command."
        case reasons.JobEnded():
            return "This has already ended."
        case reasons.JobStarted():
            return "This was started meanwhile. Wait for the result and press Edit prompt."
        case reasons.EditTooLate(over=over, run=run):
            happened = "has already ended" if over else "was started meanwhile"
            return f"This {happened}. Press {'Run' if run else 'Edit prompt'} to make another one with these settings."
        case reasons.OneChoiceOnly(setting=setting):
            return f"You chose more than one {shortened(setting)}. Choose one."
        case reasons.DraftGone():
            return "These settings are not kept any more. Press Settings… below the result to start again."
        case reasons.DraftNotYours():
            return "These are somebody else's settings. Press Settings… below the result to have your own."
        case reasons.JobUnfinished():
            return "This is still being made. Cancel it first."
        case reasons.NothingToSave():
            return "These are the default settings, so there is nothing to save."
        case reasons.UnknownButton():
            return "This button is out of date. Start again with a command."
        case reasons.NoExample():
            return "Nothing here makes a picture from words alone just now. See /models."
        case reasons.UnknownSetting(workflow=workflow, setting=setting, known=known):
            return f"{quoted(workflow)} has no setting {quoted(setting)}{suggest(setting, known)}"
        case reasons.NotASetting(line=line):
            return f"{quoted(line)} is not a setting. Write one setting on each line, as name = value."
        case reasons.NotAResultNumber(given=given):
            return f"{quoted(given)} is not the number of a result. Write 1, 2, and so on."
        case reasons.NameTooLong(workflow=workflow, most=most):
            return f"The name {quoted(workflow)} is too long for Discord's buttons. Use at most {most} characters."
        case reasons.MenuNeedsOneFile(workflow=workflow):
            return f"{shortened(workflow)} cannot have a message menu: it does not take exactly one file."
        case reasons.NoRoomInMenu(workflow=workflow, most=most):
            return f"{shortened(workflow)} gets no message menu: Discord allows only {most} in all."
        case reasons.NoRoomForCommand(workflows=workflows, most=most):
            names = f"Discord allows only {most} commands of workflows, so {listed(workflows)} get none"
            return f"{names}: name those that you want in “workflow_commands”."
        case reasons.CommandNotOffered(workflow=workflow, known=known):
            return f"“workflow_commands” names {quoted(workflow)}, which is not offered{suggest(workflow, known)}"
        case reasons.NotAnId(workflow=workflow, name=name):
            return f"{shortened(workflow)}: {quoted(name)} is not an id. Copy the id of the person or role in Discord."
        case reasons.FolderUnreadable(folder=folder, error=error):
            return f"The folder {path_text(folder)} cannot be read: {ended(error)}"
        case reasons.WorkflowsNotOffered(workflows=workflows):
            return f"No server can run {listed(workflows)}, so they are not offered: run “check” for the reasons."
        case reasons.AllowedNowhere(workflow=workflow):
            return f"No server may run {quoted(workflow)}: the operator allows it on none that is able to."
        case reasons.PaidFromTerminal(workflow=workflow):
            return f"{quoted(workflow)} costs money: run it in Discord, where the budget is kept."
        case reasons.AllowedUnknown(server=server, workflow=workflow, known=known):
            names = f"“workflows” of the server {shortened(server)} names {quoted(workflow)}"
            return f"{names}, which does not exist{suggest(workflow, known)}"
        case reasons.TaskNotOffered(task=task):
            return f"No model for “{task}” is available now. Ask the people who run this bot."
        case reasons.ModelUnknown(model=model, known=known):
            return f"There is no model {quoted(model)} here now{suggest(model, known)}"
        case reasons.OptionNotOffered(model=model, option=option, offered=offered):
            return f"{quoted(model)} has no option {quoted(option)}. It has {listed(offered)}."
        case reasons.FormatUnknown(format=wanted, known=known):
            return f"There is no format {quoted(wanted)}. Choose one of {listed(known)}."
        case reasons.NoSizeForFormat(model=model, format=wanted):
            return f"{quoted(model)} cannot make pictures of the format {quoted(wanted)}. Choose another format."
        case reasons.CannotStartFromPicture(model=model, able=()):
            return f"{quoted(model)} cannot start from a picture. Use /edit instead."
        case reasons.CannotStartFromPicture(model=model, able=able):
            return f"{quoted(model)} cannot start from a picture. Choose {listed(able, 5)}, or use /edit."
        case reasons.PresetNotOffered(preset=preset, known=known):
            return f"There is no preset {quoted(preset)} for this model{suggest(preset, known)}"
        case reasons.NotFromDiscord():
            return "The file does not come from Discord. Attach it here."
        case reasons.FileNotDownloaded():
            return "Discord does not send the file any more. Attach it again."
        case reasons.FilesArriving():
            return "Wait until your other files have arrived, and try again."
        case _:
            assert_never(reason)

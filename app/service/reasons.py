"""Why a request of a person is refused, or a workflow is not offered, above the level of workflows. Plain data."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class NotYours(Reason, frozen=True):
    """Only the owner of the job, or a moderator, may do this; `action` is the verb of the button."""

    action: str


class NotAModerator(Reason, frozen=True):
    """Only a moderator of the Discord server may do this."""


class IsBanned(Reason, frozen=True):
    """Moderators of the Discord server banned the person, for another `left` seconds; None for ever."""

    reason: str
    left: float | None


class AboveCeiling(Reason, frozen=True):
    """A limit for a Discord server is above that of the configuration: so many `jobs` or `seconds`, the other is 0."""

    jobs: int = 0
    seconds: int = 0


class NotBanned(Reason, frozen=True):
    """There is no such ban that could end."""


class NotForYou(Reason, frozen=True):
    """The workflow is only for the people and roles that its manifest names."""

    workflow: str


class NotOffered(Reason, frozen=True):
    """The workflow exists, but no server can run it now."""

    workflow: str


class WorkflowRemoved(Reason, frozen=True):
    """There is no workflow of this name any more."""

    workflow: str


class TakesNoResult(Reason, frozen=True):
    """The workflow has no slot for a result any more."""

    workflow: str


class ResultNotKept(Reason, frozen=True):
    """The files of the result were deleted."""


class VariationNotRunnable(Reason, frozen=True):
    """A server that can run the workflow cannot run what was derived from it, because of `problem`."""

    workflow: str
    problem: Reason


class TooManyPagesOpen(Reason, frozen=True):
    """The person, or everybody together, has as many pages open as are kept up to date."""


class NoPlaceForResult(Reason, frozen=True):
    """No place takes the result at the moment."""


class MessageNotDeleted(Reason, frozen=True):
    """The files of a job are deleted, but Discord does not let the bot delete its message."""


class CannotWriteThere(Reason, frozen=True):
    """The person may not write in the channel where the job is shown, so nothing is made for them there."""


class BotCannotPost(Reason, frozen=True):
    """The bot itself may not post in the channel where the job is shown."""


class PlaceNotKnown(Reason, frozen=True):
    """Discord does not say now whether the person may write in the channel where the job is shown."""


class AcceptanceUnknown(Reason, frozen=True):
    """It is not known yet whether a request was accepted: the journal cannot be written now, or the bot stops."""


class FewerResults(Reason, frozen=True):
    """The job has only so many results."""

    count: int


class InputNotKept(Reason, frozen=True):
    """The file that an earlier job was made from was deleted."""


class FileMissing(Reason, frozen=True):
    """A file that the workflow needs was not attached."""

    workflow: str
    slot: str


class Draining(Reason, frozen=True):
    """The bot is about to stop and takes no new jobs."""


class CannotRecord(Reason, frozen=True):
    """Nothing that the bot accepts now could be kept safely."""


class ValueMissing(Reason, frozen=True):
    """A value that the workflow needs was not given."""

    workflow: str
    slot: str


class SlotRemoved(Reason, frozen=True):
    """The workflow has no such slot any more."""

    workflow: str
    slot: str


class TextTooLong(Reason, frozen=True):
    """A text has too many characters."""

    slot: str
    length: int
    most: int


class SlotTakesNoFile(Reason, frozen=True):
    """The workflow was changed and takes no file for this slot now."""

    workflow: str
    slot: str


class JobForgotten(Reason, frozen=True):
    """A request that was over a limit is not known any more."""


class JobRemoved(Reason, frozen=True):
    """The journal does not have the job any more, because it is old."""


class JobEnded(Reason, frozen=True):
    """The job has ended, so it cannot be cancelled."""


class JobStarted(Reason, frozen=True):
    """The job does not wait any more, so it cannot be edited."""


class EditTooLate(Reason, frozen=True):
    """The job was sent to a server, or is `over`, since the form was opened; its values are kept for another job.

    `run` says that they are on a card, whose button is Run.
    """

    over: bool
    run: bool = False


class OneChoiceOnly(Reason, frozen=True):
    """In a form that has several lists for one setting, something was chosen in more than one."""

    setting: str


class DraftGone(Reason, frozen=True):
    """Settings that a person was changing are not known any more: they are too old, or there were too many others."""


class DraftNotYours(Reason, frozen=True):
    """Settings belong to another person."""


class JobUnfinished(Reason, frozen=True):
    """The job is unfinished, so its message cannot be deleted."""


class NothingToSave(Reason, frozen=True):
    """The job has only the workflow's own settings."""


class UnknownButton(Reason, frozen=True):
    """A button of an earlier version."""


class NoExample(Reason, frozen=True):
    """No workflow that this person may use makes a picture from words alone, now."""


class UnknownSetting(Reason, frozen=True):
    """A form names a setting that the workflow does not have."""

    workflow: str
    setting: str
    known: tuple[str, ...]


class NotASetting(Reason, frozen=True):
    """A line of a form is not `name = value`."""

    line: str


class NotAResultNumber(Reason, frozen=True):
    """A form has no number from 1 where it asks which result to use."""

    given: str


class NotFromDiscord(Reason, frozen=True):
    """An attached file has an address outside Discord."""


class FileNotDownloaded(Reason, frozen=True):
    """Discord did not send an attached file."""


class FilesArriving(Reason, frozen=True):
    """Too many files are being downloaded already."""


class NameTooLong(Reason, frozen=True):
    """The name of a workflow does not fit into the ids of Discord's buttons."""

    workflow: str
    most: int


class MenuNeedsOneFile(Reason, frozen=True):
    """A workflow has a message menu, but does not take exactly one file."""

    workflow: str


class NoRoomInMenu(Reason, frozen=True):
    """A workflow has a message menu, but there are too many already."""

    workflow: str
    most: int


class NoRoomForCommand(Reason, frozen=True):
    """These workflows have commands in their manifests, but there are too many already."""

    workflows: tuple[str, ...]
    most: int


class CommandNotOffered(Reason, frozen=True):
    """The operator wants a command for a workflow that is not offered; `known` are those that are."""

    workflow: str
    known: tuple[str, ...]


class NotAnId(Reason, frozen=True):
    """A manifest names a person or role, and not by the numeric id."""

    workflow: str
    name: str


class FolderUnreadable(Reason, frozen=True):
    """The folder of workflows cannot be read; `error` is the system's own word for why."""

    folder: str
    error: str


class LastVersionKept(Reason, frozen=True):
    """The files of a workflow cannot be read, so its last good version is used."""

    problem: Reason


class AllowedNowhere(Reason, frozen=True):
    """The operator allows the workflow only on servers that cannot run it, or on none."""

    workflow: str


class PaidFromTerminal(Reason, frozen=True):
    """A workflow that costs money was to be run by a command that keeps no account of a budget."""

    workflow: str


class AllowedUnknown(Reason, frozen=True):
    """The operator allows a workflow on a server that does not exist; `known` are the names of those that do."""

    server: str
    workflow: str
    known: tuple[str, ...]


class WorkflowsNotOffered(Reason, frozen=True):
    """No server can run these workflows."""

    workflows: tuple[str, ...]


class TaskNotOffered(Reason, frozen=True):
    """No server can run a workflow for this task now, or the person may use none of them."""

    task: str


class ModelUnknown(Reason, frozen=True):
    """No model of this name can be used for the task now; `known` can."""

    model: str
    known: tuple[str, ...]


class OptionNotOffered(Reason, frozen=True):
    """The model has no such option; `offered` are those that it has."""

    model: str
    option: str
    offered: tuple[str, ...]


class FormatUnknown(Reason, frozen=True):
    """There is no such format; `known` are those that there are."""

    format: str
    known: tuple[str, ...]


class NoSizeForFormat(Reason, frozen=True):
    """No size of this format is within the limits of the model."""

    model: str
    format: str


class CannotStartFromPicture(Reason, frozen=True):
    """The model makes pictures only from a description; `able` can start from a picture."""

    model: str
    able: tuple[str, ...]


class PresetNotOffered(Reason, frozen=True):
    """There is no such preset, neither for all models nor for the chosen one."""

    preset: str
    known: tuple[str, ...]


ServiceReason: TypeAlias = (
    NotYours
    | NotAModerator
    | IsBanned
    | AboveCeiling
    | NotBanned
    | NotForYou
    | NotOffered
    | WorkflowRemoved
    | TakesNoResult
    | ResultNotKept
    | VariationNotRunnable
    | NoPlaceForResult
    | MessageNotDeleted
    | CannotWriteThere
    | BotCannotPost
    | PlaceNotKnown
    | AcceptanceUnknown
    | TooManyPagesOpen
    | FewerResults
    | InputNotKept
    | FileMissing
    | Draining
    | CannotRecord
    | ValueMissing
    | SlotRemoved
    | TextTooLong
    | SlotTakesNoFile
    | JobForgotten
    | JobRemoved
    | JobEnded
    | JobStarted
    | EditTooLate
    | OneChoiceOnly
    | DraftGone
    | DraftNotYours
    | JobUnfinished
    | NothingToSave
    | UnknownButton
    | NoExample
    | UnknownSetting
    | NotASetting
    | NotAResultNumber
    | NotFromDiscord
    | FileNotDownloaded
    | FilesArriving
    | NameTooLong
    | MenuNeedsOneFile
    | NoRoomInMenu
    | NoRoomForCommand
    | CommandNotOffered
    | NotAnId
    | FolderUnreadable
    | AllowedNowhere
    | PaidFromTerminal
    | AllowedUnknown
    | TaskNotOffered
    | ModelUnknown
    | OptionNotOffered
    | FormatUnknown
    | NoSizeForFormat
    | CannotStartFromPicture
    | PresetNotOffered
    | WorkflowsNotOffered
)

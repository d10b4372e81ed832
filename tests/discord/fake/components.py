"""What Discord takes for the components of a message or a modal."""

from __future__ import annotations

from tests.discord.fake.wire import Payload, address, between, inner, invalid, items, length, walk

ROW, BUTTON, SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS = range(3, 9)
STRING_SELECT = 3
SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR = 9, 10, 11, 12, 13, 14
CONTAINER, LABEL, FILE_UPLOAD = 17, 18, 19
RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 21, 22, 23
ONLY_IN_MODALS = {TEXT_INPUT, LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX}
LABELLED = {TEXT_INPUT, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX, *SELECTS}
TOP_V2 = {ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER}
MOST_V2 = 40
WHOLE_TEXT = 4000
"""Characters of all text displays of one message together."""
LINK, PREMIUM = 5, 6
LONGEST_LINK, LONGEST_MEDIA = 512, 2048
MEDIA = ("http", "https", "attachment")


def check_legacy(components: list[Payload]) -> None:
    """At most five rows of buttons or with one menu. Raises 50035."""
    length("components", components, 0, 5)
    for index, component in enumerate(components):
        _kind(f"components.{index}", component, {ROW})
    _check_each(components)


def check_v2(components: list[Payload]) -> None:
    """Texts, galleries, sections, containers: forty in all. Raises 50035."""
    for index, component in enumerate(components):
        _kind(f"components.{index}", component, TOP_V2)
    if len(list(walk(components))) > MOST_V2:
        message = f"The total number of components cannot exceed {MOST_V2}"
        raise invalid("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", message)
    written = sum(len(part.get("content") or "") for _, part in walk(components) if part["type"] == TEXT)
    if written > WHOLE_TEXT:
        message = f"The total displayable text cannot exceed {WHOLE_TEXT}"
        raise invalid("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", message)
    _check_each(components)


def check_modal(modal: Payload) -> None:
    """A title, and one to five text inputs in rows or inputs in labels. Raises 50035."""
    length("data.custom_id", modal.get("custom_id"), 1, 100)
    length("data.title", modal.get("title"), 1, 45)
    components = items(modal, "components")
    length("data.components", components, 1, 5)
    for index, component in enumerate(components):
        here = f"data.components.{index}"
        _kind(here, component, {ROW, LABEL, TEXT})
        if component["type"] == ROW:
            length(f"{here}.components", component.get("components"), 1, 1)
            _kind(f"{here}.components.0", component["components"][0], {TEXT_INPUT})
            length(f"{here}.components.0.label", component["components"][0].get("label"), 1, 45)
        elif component["type"] == LABEL:
            length(f"{here}.label", component.get("label"), 1, 45)
            length(f"{here}.description", component.get("description"), 0, 100)
            _kind(f"{here}.component", inner(component, "component"), LABELLED)
            if component["component"].get("disabled"):
                message = "Components in modals cannot be disabled"
                raise invalid(f"{here}.component.disabled", "MODAL_COMPONENT_DISABLED", message)
    _check_each(components, "data.components", modal=True)


def _kind(path: str, component: Payload, kinds: set[int]) -> None:
    if component.get("type") not in kinds:
        message = f'Value of field "type" must be one of {tuple(sorted(kinds))}.'
        raise invalid(f"{path}.type", "UNION_TYPE_CHOICES", message)


def _check_each(components: list[Payload], root: str = "components", *, modal: bool = False) -> None:
    seen: set[str] = set()
    numbers: set[int] = set()
    for path, component in walk(components, root):
        kind = component["type"]
        # 0 stands for none, as where it is missing.
        if number := component.get("id"):
            between(f"{path}.id", number, 1, 2**31 - 1)
            if number in numbers:
                raise invalid(f"{path}.id", "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
            numbers.add(number)
        if custom_id := component.get("custom_id"):
            length(f"{path}.custom_id", custom_id, 1, 100)
            if custom_id in seen:
                message = "Component custom id cannot be duplicated"
                raise invalid(f"{path}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", message)
            seen.add(custom_id)
        elif kind in LABELLED:
            raise invalid(f"{path}.custom_id", "BASE_TYPE_REQUIRED", "This field is required")
        if kind in ONLY_IN_MODALS and not modal:
            raise invalid(f"{path}.type", "UNION_TYPE_CHOICES", "This component belongs into modals")
        if modal and kind in (FILE_UPLOAD, CHECKBOX_GROUP, *SELECTS):
            _check_required(path, component)
        _check_one(path, component)


def _check_one(path: str, component: Payload) -> None:
    match component["type"]:
        case 1:
            _check_row(path, items(component, "components"))
        case 2:
            _check_button(path, component)
        case 3:
            length(f"{path}.placeholder", component.get("placeholder"), 0, 150)
            length(f"{path}.options", component.get("options"), 1, 25)
            _, most = _check_range(path, component, "values", (0, 25), (1, len(component["options"])))
            _check_options(path, component["options"], component.get("max_values", min(1, most)))
        case 4:
            _check_text_input(path, component)
        case 5 | 6 | 7 | 8:
            _check_range(path, component, "values", (0, 25), (1, 25))
        case 19:
            _check_range(path, component, "values", (0, 10), (1, 10))
        case 21:
            length(f"{path}.options", component.get("options"), 2, 10)
            _check_options(path, component["options"], 1)
        case 22:
            length(f"{path}.options", component.get("options"), 1, 10)
            _, most = _check_range(path, component, "values", (0, 10), (1, len(component["options"])))
            _check_options(path, component["options"], most)
        case 23:
            if not isinstance(component.get("default", False), bool):
                raise invalid(f"{path}.default", "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
        case 9:
            length(f"{path}.components", component.get("components"), 1, 3)
            _kind(f"{path}.accessory", inner(component, "accessory"), {BUTTON, THUMBNAIL})
        case 10:
            # Blanks at both ends do not count.
            length(f"{path}.content", (component.get("content") or "").strip(), 1, WHOLE_TEXT)
        case 11:
            length(f"{path}.description", component.get("description"), 0, 1024)
            address(f"{path}.media.url", inner(component, "media").get("url"), LONGEST_MEDIA, *MEDIA)
        case 12:
            length(f"{path}.items", component.get("items"), 1, 10)
            for index, item in enumerate(component["items"]):
                length(f"{path}.items.{index}.description", item.get("description"), 0, 1024)
                address(f"{path}.items.{index}.media.url", inner(item, "media").get("url"), LONGEST_MEDIA, *MEDIA)
        case 13:
            address(f"{path}.file.url", inner(component, "file").get("url"), LONGEST_MEDIA, "attachment", "https")
        case 17:
            between(f"{path}.accent_color", component.get("accent_color"), 0, 0xFFFFFF)
            length(f"{path}.components", component.get("components"), 1, MOST_V2)
            for index, part in enumerate(component["components"]):
                _kind(f"{path}.components.{index}", part, TOP_V2 - {CONTAINER})
        case _:
            pass


def _check_required(path: str, component: Payload) -> None:
    """What must be filled in takes at least one."""
    if component.get("required", True) and component.get("min_values") == 0:
        message = "min_values must be at least 1 if the component is required"
        raise invalid(f"{path}.min_values", "COMPONENT_INVALID_RANGE", message)


def _check_options(path: str, options: list[Payload], most: int) -> None:
    values: set[str] = set()
    if len([option for option in options if option.get("default")]) > most:
        message = "There are more default options than can be chosen"
        raise invalid(f"{path}.options", "SELECT_COMPONENT_DEFAULT_OPTIONS_EXCEEDED", message)
    for index, option in enumerate(options):
        for name in ("label", "value"):
            length(f"{path}.options.{index}.{name}", option.get(name), 1, 100)
        length(f"{path}.options.{index}.description", option.get("description"), 0, 100)
        if option["value"] in values:
            message = "The specified option value is already used"
            raise invalid(f"{path}.options.{index}.value", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", message)
        values.add(option["value"])


def _check_text_input(path: str, component: Payload) -> None:
    length(f"{path}.placeholder", component.get("placeholder"), 0, 100)
    low, high = _check_range(path, component, "length", (0, 4000), (1, 4000))
    if component.get("value"):
        length(f"{path}.value", component["value"], low, high)


def _check_range(
    path: str, component: Payload, what: str, lowest: tuple[int, int], highest: tuple[int, int]
) -> tuple[int, int]:
    """Check `min_…` and `max_…`, which may be missing; returns what they come to. Raises 50035."""
    low, high = component.get(f"min_{what}"), component.get(f"max_{what}")
    between(f"{path}.min_{what}", low, *lowest)
    between(f"{path}.max_{what}", high, *highest)
    if low is not None and low > (highest[1] if high is None else high):
        message = f"min_{what} must not exceed max_{what}"
        raise invalid(f"{path}.min_{what}", "COMPONENT_INVALID_RANGE", message)
    return low or 0, highest[1] if high is None else high


def _check_row(path: str, inside: list[Payload]) -> None:
    length(f"{path}.components", inside, 1, 5)
    if any(part.get("type") != BUTTON for part in inside):
        length(f"{path}.components", inside, 1, 1)
        _kind(f"{path}.components.0", inside[0], {BUTTON, TEXT_INPUT, *SELECTS})


def _check_button(path: str, button: Payload) -> None:
    length(f"{path}.label", button.get("label"), 0, 80)
    if button.get("style") == PREMIUM:
        return
    if not (button.get("label") or button.get("emoji")):
        raise invalid(path, "BUTTON_COMPONENT_INVALID_LABEL", "A label or an emoji is required")
    needed, other = ("url", "custom_id") if button.get("style") == LINK else ("custom_id", "url")
    if not button.get(needed):
        raise invalid(f"{path}.{needed}", "BASE_TYPE_REQUIRED", "This field is required")
    if needed == "url":
        address(f"{path}.url", button["url"], LONGEST_LINK, "http", "https", "discord")
    if button.get(other):
        message = "A custom id and url cannot both be specified"
        raise invalid(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", message)

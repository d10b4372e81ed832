"""Draws what the bot sends to Discord, so that people can look at it. It is not Discord, and says so in each picture.

markdown.py   Discord's markdown as HTML
page.py       a message or a form as an HTML page
outline.py    the structure of such a page, for tests
browser.py    a page as a PNG, with a headless Chromium
moments.py    the real bot plays ten key moments on a fake Discord
__main__.py   `just pictures`: writes the PNGs of docs/pictures
"""

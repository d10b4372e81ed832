"""The web page in a real browser: the Chromium of the system, a bot as a process, a fake Discord, a simulated ComfyUI.

archive.py    a journal with thousands of results, some with painted pictures
world.py      the bot and what is around it
visit.py      a browser, and somebody who looks at the page in it
__main__.py   `just page-pictures`: writes the pictures of docs/pictures/page
"""

"""A small program that decodes what people send: pictures, videos and sounds.

Parsers of media files crash, and small files can take gigabytes. So all of that happens in a process of its own, with
an empty environment and limits on memory, CPU time and open files. A file that breaks it breaks nothing else.

    client.py       the bot's side: starts, feeds and stops the processes
    waiting.py      whose file is next: fair between people
    protocol.py     the messages between both, and their frames
    limits.py       what is accepted, and what a process may use
    worker.py       the process's loop
    normalise.py    what people attach becomes a plain PNG
    metadata.py     removes the workflow and other metadata from results
    compress.py     makes results small enough for Discord
    video.py        re-encodes videos, where the extra `video` is installed
"""

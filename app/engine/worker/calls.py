"""Does what a call says, with the clients of one server of the worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Raw, Struct

from app.actors.client_pool import ServerClients
from app.engine.messages import (
    INLINE,
    Answer,
    Cancel,
    Done,
    DoneLarge,
    Fetch,
    GetChunk,
    KeepListening,
    Listen,
    Lost,
    PutChunk,
    ReadHistory,
    ReadNewest,
    ReadNode,
    ReadNodes,
    ReadQueue,
    ReadReplacements,
    ReadStats,
    Release,
    Request,
    StopListening,
    Submit,
    Upload,
    encode,
)
from app.engine.worker.lease import Lease
from app.engine.worker.subscriptions import Subscriptions
from app.engine.worker.transfers import Transfers
from app.reasons.servers import WorkerAway


class Calls(Struct, frozen=True):
    """What is needed for calls during one session."""

    lease: Lease
    transfers: Transfers
    subscriptions: Subscriptions

    async def perform(self, request: Request, clients: ServerClients) -> Answer:
        """Do what is asked; raises what the port raises."""
        match request.call:
            case Submit() if not self.lease.held:
                # The process stood still since it claimed the request, and others may have its jobs by now.
                return Lost(WorkerAway())
            case Fetch(file=file):
                transfer, path = self.transfers.new_path()
                await clients.comfy.fetch(file, path)
                return DoneLarge(await self.transfers.offer(transfer))
            case _:
                return await self._answer(await self._value(request, clients))

    async def _answer(self, value: object) -> Answer:
        data = encode(value)
        return Done(Raw(data)) if len(data) <= INLINE else DoneLarge(await self.transfers.offer_value(data))

    async def _value(self, request: Request, clients: ServerClients) -> object:
        """What the method returned, in a form that MessagePack has."""
        comfy = clients.comfy
        match request.call:
            case Submit(prompt=prompt, graph=graph):
                return await comfy.submit(prompt, graph)
            case ReadQueue():
                return await comfy.queue()
            case ReadHistory(prompt=prompt):
                return (await comfy.history(prompt),)
            case ReadNewest(count=count):
                return await comfy.newest(count)
            case Cancel(prompt=prompt):
                return await comfy.cancel(prompt)
            case ReadNode(class_type=class_type):
                node = await comfy.node(class_type)
                return (None if node is None else bytes(node),)
            case ReadNodes():
                return _bytes(await comfy.nodes())
            case ReadReplacements():
                return _bytes(await comfy.replacements())
            case ReadStats():
                return await comfy.stats()
            case Upload(content=content, name=name):
                path = await self.transfers.received(content)
                try:
                    return await comfy.upload(path, Path(name).name)
                finally:
                    await self.transfers.release(content.transfer)
            case Fetch():
                raise AssertionError
            case _:
                return await self._transfer_or_listen(request, clients)

    async def _transfer_or_listen(self, request: Request, clients: ServerClients) -> None:
        match request.call:
            case GetChunk(transfer=transfer, number=number):
                await self.transfers.get(transfer, number)
            case PutChunk(transfer=transfer, number=number):
                await self.transfers.put(transfer, number)
            case Release(transfer=transfer):
                await self.transfers.release(transfer)
            case Listen(subscription=subscription):
                await self.subscriptions.listen(subscription, request.client, clients.connect)
            case KeepListening(subscription=subscription):
                self.subscriptions.keep(subscription)
            case StopListening(subscription=subscription):
                self.subscriptions.stop(subscription)
            case _:
                raise AssertionError


def _bytes(descriptions: Mapping[str, Raw]) -> dict[str, bytes]:
    return {name: bytes(description) for name, description in descriptions.items()}

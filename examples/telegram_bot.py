"""Make covers in Telegram: `/cover <task id>` is answered with the two images.

Install, set the environment, and run::

    pip install . aiogram
    export SUNO_API_KEY=...
    export TELEGRAM_TOKEN=...          # from @BotFather
    export TELEGRAM_USERS=1234,5678    # the ids of the users who may spend credits
    python telegram_bot.py

`TELEGRAM_API_URL` names a Bot API server of your own, if you run one.

Each cover costs money, so only those users may ask for one; the bot tells others their id. Who
writes as a group (an anonymous administrator) or as a channel is refused: all who do so, in any
group, have one user id. Two who ask for one song pay once, and whoever asks again, also after a
restart, gets the same cover.

A bot should not write more than once a second in a chat, and is told how long to wait where it
does. Photos may have 10 MB, so larger images are sent as documents. Telegram keeps commands for 24
hours, so the bot answers those too that came while it was not running. Ctrl-C or SIGTERM finishes
what was asked for; the second one ends the program at once, and nothing is lost then either.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from functools import partial

from aiogram import Bot, Dispatcher, Router
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.filters import Command
from aiogram.types import FSInputFile, InputMediaDocument, InputMediaPhoto
from aiogram.utils.token import TokenValidationError

from suno_cover_async import (
    CoverFailedError,
    CoverStatus,
    CoverTimeoutError,
    InvalidRequestError,
    SunoCoverClient,
    SunoCoverError,
    Track,
)

API_URL = os.environ.get("TELEGRAM_API_URL", "https://api.telegram.org")
USERS = {int(user) for user in os.environ.get("TELEGRAM_USERS", "").split(",") if user.strip()}
PATIENCE = 3600  # seconds until the bot gives up a cover that does not finish
LIMIT = 10 * 1024 * 1024  # bytes of a photo
TRIES, PAUSE = 5, 1.0
log = logging.getLogger("telegram_bot")
MOST_TOLD = 1_000  # users, groups and channels that are refused, once each; others get no answer
router = Router()
work = set()
told = set()


def person(message):
    """Return the user who wrote, or None: many share the user id of a group or a channel."""
    user = message.from_user
    return None if message.sender_chat or user is None or user.is_bot else user


def refusal(user, song):
    """Return why nothing is begun, or None."""
    if user is None:
        return "Each cover costs money. Write as yourself, not as a group or a channel."
    if user.id not in USERS:
        return f"Each cover costs money. The owner of this bot can add your id: {user.id}"
    try:
        Track(song)
    except ValueError:
        return "Write the song's task id: /cover 73d6128b3523a0079df10da9471017c8"
    return None


def is_answered(sender):
    """Return whether a refusal is sent: to who may not spend once, so that none floods the bot."""
    if sender is None or sender.id in USERS:
        return sender is not None
    if sender.id in told or len(told) >= MOST_TOLD:
        return False
    told.add(sender.id)
    return True


@router.message(Command("cover"))
async def cover(message, command, suno):
    """Answer at once, and make the cover; if the answer cannot be sent, nothing is requested."""
    user, song = person(message), (command.args or "").strip()
    if why := refusal(user, song):
        if is_answered(user or message.sender_chat):
            await patiently(partial(message.reply, why))
        return
    keep(asyncio.current_task())
    status = await patiently(partial(message.reply, f"The cover of {song} is requested …"))
    await answer(suno, song, message, status)


def keep(task):
    """Keep a task until it ends; a stop waits for it."""
    work.add(task)
    task.add_done_callback(work.discard)


async def answer(suno, song, message, status):
    """Edit the message as the status changes, and send the images."""
    try:
        task = await suno.submit(song)
        async for details in suno.watch(task, timeout=PATIENCE):
            if details.status is CoverStatus.GENERATING:
                await edit(status, f"The cover of {song} is being generated …")
        if details.status is CoverStatus.FAILED:
            raise CoverFailedError(details)
        files = await suno.download(details, into="covers")
    except Exception as error:  # whatever it is, the user gets an answer
        log.warning("no cover: %s", error, exc_info=not isinstance(error, SunoCoverError))
        await edit(status, f"No cover of {song}: {reason(error)}")
        return
    arrived = await send(message, files)
    await edit(status, "\n".join([f"The cover of {song}", *(() if arrived else details.images)]))


async def send(message, files):
    """Send the images as photos, else as documents; return whether one of the two worked."""
    for kind in (InputMediaPhoto, InputMediaDocument):
        try:
            if kind is InputMediaPhoto and any(file.stat().st_size > LIMIT for file in files):
                continue
            album = [kind(media=FSInputFile(file)) for file in files]
            await patiently(partial(message.reply_media_group, album))
        except Exception as error:  # the other kind may work, and links always do
            log.warning("not sent: %s", error, exc_info=not isinstance(error, AiogramError))
        else:
            return True
    log.error("not sent: the images are %s", [str(file) for file in files])
    return False


async def edit(status, text):
    """Edit the message; a cover is worth more than that."""
    try:
        await patiently(partial(status.edit_text, text))
    except AiogramError as error:
        log.warning("not edited: %s", error)


async def patiently(call):
    """Call Telegram, and again after the time that it asks for, or when it is out of order."""
    for left in reversed(range(TRIES)):
        try:
            return await call()
        except TelegramRetryAfter as error:
            if not left:
                raise
            await asyncio.sleep(error.retry_after)
        except (TelegramNetworkError, TelegramServerError):
            if not left:
                raise
            await asyncio.sleep(PAUSE)
    return None


def reason(error):
    """Return what a user may read of an error, and what to do; the log has the rest."""
    if isinstance(error, CoverFailedError | InvalidRequestError):
        return error.message[:500]
    if isinstance(error, CoverTimeoutError):
        return "it is not finished yet. Ask again later, it is paid for once."
    if isinstance(error, SunoCoverError) and error.retryable:
        return "the service does not answer at the moment. Ask again later, it is paid for once."
    return "the bot's owner finds the reason in its log."


def when_told_to_stop(act):
    """Call a function at the first Ctrl-C or SIGTERM; the second one ends the program."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

    def stop():
        for number in signals:
            loop.remove_signal_handler(number)
        log.info("told to stop: finishing what was asked for; the next signal ends the program")
        act()

    with contextlib.suppress(NotImplementedError):  # on Windows, Ctrl-C ends the program
        for number in signals:
            loop.add_signal_handler(number, stop)


async def main():
    """Answer commands until a signal comes, then finish those that were begun."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(API_URL))
    dispatcher = Dispatcher()
    dispatcher.include_router(router)
    async with SunoCoverClient() as suno, Bot(os.environ["TELEGRAM_TOKEN"], session=session) as bot:
        polling = asyncio.create_task(
            dispatcher.start_polling(bot, suno=suno, handle_signals=False, close_bot_session=False)
        )
        when_told_to_stop(lambda: keep(asyncio.create_task(dispatcher.stop_polling())))
        await polling
        while work:
            await asyncio.wait(work)


if __name__ == "__main__":
    for name in ("SUNO_API_KEY", "TELEGRAM_TOKEN"):
        if not os.environ.get(name):
            sys.exit(f"Set {name}; the first lines of this file say how.")
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(main())
    except (TelegramUnauthorizedError, TokenValidationError):
        sys.exit("Telegram refuses TELEGRAM_TOKEN: copy it again from @BotFather.")

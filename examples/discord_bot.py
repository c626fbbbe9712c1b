"""Make covers in Discord: `/cover song:<task id>` is answered with the two images.

Install, set the environment, and run::

    pip install . discord.py
    export SUNO_API_KEY=...
    export DISCORD_TOKEN=...       # https://discord.com/developers/applications, page "Bot"
    export COVER_ROLES=1234,5678   # the ids of the roles that may spend credits
    python discord_bot.py

Invite the bot with the scopes `bot` and `applications.commands` and the permissions View Channels,
Send Messages and Attach Files. It needs no privileged intent. Switch off "Public Bot" on the page
"Bot": else anybody can invite the bot to a server of theirs.

Each cover costs money, so members with one of those roles may ask for one, and nobody else. Two who
ask for one song pay once, and whoever asks again, also after a restart, gets the same cover.

Discord requires an answer within 3 s, and lets a bot edit that answer for 15 minutes. A cover that
takes longer is posted as a new message. Ctrl-C or SIGTERM finishes what was asked for; the second
one ends the program at once, and nothing is lost then either: ask again.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys

import aiohttp
import discord
from discord import app_commands

from suno_cover_async import (
    CoverFailedError,
    CoverStatus,
    CoverTimeoutError,
    InvalidRequestError,
    SunoCoverClient,
    SunoCoverError,
    Track,
)

WAIT = 800  # seconds in which the first message is edited; Discord refuses after 900
PATIENCE = 3600  # seconds until the bot gives up a cover that does not finish
LIMIT = 10 * 1024 * 1024  # bytes of an attachment, for everybody; links are sent of larger images
ROLES = {int(role) for role in os.environ.get("COVER_ROLES", "").split(",") if role.strip()}
NOT_SENT = (discord.DiscordException, aiohttp.ClientError, OSError)
log = logging.getLogger("discord_bot")


def refusal(interaction, song):
    """Return why nothing is begun, or None; nothing is awaited here."""
    if interaction.client.stopping:
        return "I am about to restart. Please ask again in some minutes."
    roles = {role.id for role in interaction.user.roles}
    if not roles & ROLES:
        return "Each cover costs money, and you have none of the roles that may ask for one."
    try:
        Track(song)
    except ValueError:
        return "That is not a song's task id, such as `73d6128b3523a0079df10da9471017c8`."
    return None


@app_commands.command(description="Make the cover art of a finished song")
@app_commands.describe(song="The task id of the song")
@app_commands.guild_only()
@app_commands.allowed_installs(guilds=True, users=False)
async def cover(interaction: discord.Interaction, song: str):
    """Answer at once, and make the cover; a stop waits for all of it from here on."""
    if why := refusal(interaction, song):
        await interaction.response.send_message(why, ephemeral=True)
        return
    interaction.client.keep(asyncio.current_task())
    await interaction.response.defer(thinking=True)  # if this fails, nothing is requested
    await Answer(interaction, song).give()


class Answer:
    """The answer to one command: a message that is edited, and a new one when that is too old."""

    def __init__(self, interaction, song):
        """Begin with what was asked; the cover task is known later."""
        self.interaction, self.song = interaction, song
        self.task, self.late = None, False

    async def give(self):
        """Show the progress, then the cover; in a new message if it takes too long."""
        making = asyncio.create_task(self.make())
        await asyncio.wait({making}, timeout=WAIT)
        if not making.done():
            self.late = True
            await self.edit(self.farewell())
        text, images = await making
        if not await self.show(text, images) and images:
            saved = [str(path) for path, _ in images]
            log.error("%s: not posted; its images are %s", self.song, saved)
            await self.show(f"The cover of `{self.song}` cannot be sent. The bot's owner has it.")

    async def show(self, text, images=()):
        """Edit the answer, else post a new message; return whether one of the two worked."""
        if not self.late and await self.edit(text, images):
            return True
        mention = self.interaction.user.mention
        return self.may_post and await self.post(f"{mention} {text}", images)

    async def make(self):
        """Return a text, and each image's file and URL."""
        suno = self.interaction.client.suno
        try:
            self.task = await suno.submit(self.song)
            async for details in suno.watch(self.task, timeout=PATIENCE):
                if not details.finished and not self.late:
                    await self.edit(f"The cover of `{self.song}` is {details.status.lower()} …")
            if details.status is CoverStatus.FAILED:
                raise CoverFailedError(details)
            files = await suno.download(details, into="covers")
            known = details.images[: len(files)]  # the download may have found other images
            images = list(itertools.zip_longest(files, known))
        except Exception as error:  # whatever it is, the member gets an answer
            log.warning("no cover: %s", error, exc_info=not isinstance(error, SunoCoverError))
            return f"No cover of `{self.song}`: {reason(error)}", []
        return f"The cover of `{self.song}`", images

    @property
    def may_post(self):
        """Whether the bot may write in this channel without an answer to a command."""
        given = self.interaction.app_permissions
        thread = isinstance(self.interaction.channel, discord.Thread)
        write = given.send_messages_in_threads if thread else given.send_messages
        return given.view_channel and given.attach_files and write

    def farewell(self):
        """Return the last text of a message that can soon be edited no more."""
        if self.may_post:
            return f"The cover of `{self.song}` takes long. I will post it in this channel."
        known = f" Its cover task is `{self.task.cover_task_id}`." if self.task else ""
        return (
            f"The cover of `{self.song}` takes long, and I may not post in this channel.{known} "
            f"Ask again later: `/cover song:{self.song}`. It is the same cover, paid for once."
        )

    async def edit(self, text, images=()):
        """Edit the answer; return whether that worked. discord.py repeats what was refused."""
        return await sent(self.interaction.edit_original_response, text, images, "attachments")

    async def post(self, text, images=()):
        """Write a new message, which needs no token of an interaction."""
        return await sent(self.interaction.channel.send, text, images, "files")


async def sent(send, text, images, name):
    """Send a text with images, as links where they are too large; return whether that worked."""
    try:
        links = [link(path, url) for path, url in images if path.stat().st_size > LIMIT]
        files = [discord.File(path) for path, _ in images if path.stat().st_size <= LIMIT]
        await send(content="\n".join([text, *links]), **{name: files})
    except Exception as error:  # a cover is worth more than that
        log.warning("not sent: %s", error, exc_info=not isinstance(error, NOT_SENT))
        return False
    return True


def link(path, url):
    """Return what is shown of an image that is too large to be attached."""
    return f"<{url}>" if url else f"`{path.name}` is too large for Discord. The bot's owner has it."


def reason(error):
    """Return what a member may read of an error, and what to do; the log has the rest."""
    if isinstance(error, CoverFailedError | InvalidRequestError):
        return discord.utils.escape_markdown(error.message[:500])
    if isinstance(error, CoverTimeoutError):
        return "it is not finished yet. Ask again later, it is paid for once."
    if isinstance(error, SunoCoverError) and error.retryable:
        return "the service does not answer at the moment. Ask again later, it is paid for once."
    return "the bot's owner finds the reason in its log."


class CoverBot(discord.Client):
    """A connection to Discord, with one client of the API for all commands."""

    def __init__(self, suno):
        """Mention nobody, whatever a text says."""
        super().__init__(
            intents=discord.Intents(guilds=True), allowed_mentions=discord.AllowedMentions.none()
        )
        self.suno, self.work, self.stopping = suno, set(), False
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(cover)

    async def setup_hook(self):
        """Tell Discord the command."""
        await self.tree.sync()

    def keep(self, task):
        """Keep a task until it ends; a stop waits for it."""
        self.work.add(task)
        task.add_done_callback(self.work.discard)


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
    told = asyncio.Event()
    when_told_to_stop(told.set)
    async with SunoCoverClient() as suno, CoverBot(suno) as bot:
        connection = asyncio.create_task(bot.start(os.environ["DISCORD_TOKEN"]))
        stop = asyncio.create_task(told.wait())
        await asyncio.wait({connection, stop}, return_when=asyncio.FIRST_COMPLETED)
        bot.stopping = True
        while bot.work:
            await asyncio.wait(bot.work)
    stop.cancel()
    await connection


if __name__ == "__main__":
    for name in ("SUNO_API_KEY", "DISCORD_TOKEN"):
        if not os.environ.get(name):
            sys.exit(f"Set {name}; the first lines of this file say how.")
    discord.utils.setup_logging()
    try:
        asyncio.run(main())
    except discord.LoginFailure:
        sys.exit("Discord refuses DISCORD_TOKEN: copy it again from the developer portal.")

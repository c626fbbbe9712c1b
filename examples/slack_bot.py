"""Make covers in Slack: `/cover <task id>` is answered with the two images.

Install, set the environment, and run::

    pip install . slack-bolt
    export SUNO_API_KEY=...
    export SLACK_BOT_TOKEN=xoxb-...    # https://api.slack.com/apps, page "OAuth & Permissions"
    export SLACK_SIGNING_SECRET=...    # the same, page "Basic Information"
    export SLACK_USERS=U1234,U5678     # the ids of the users who may spend credits
    python slack_bot.py

The bot's scopes are `commands`, `chat:write` and `files:write`. Its slash command `/cover` has the
request URL `https://<your host>/slack/events`; a proxy on that host passes it on to port 3000 of
127.0.0.1, or to `PORT`. Invite the bot to the channels in which it is used. `SLACK_API_URL` is for
GovSlack: `https://slack-gov.com/api/`.

Each cover costs money, so only those users may ask for one. Two who ask for one song pay once, and
whoever asks again, also after a restart, gets the same cover; so a command that Slack delivers
twice costs nothing more.

Slack requires an answer within 3 s. All messages after it are sent with the bot's token: the URL
that comes with a command works five times in 30 minutes, which a cover may exceed. Ctrl-C or
SIGTERM finishes what was asked for; the second one ends the program at once, and nothing is lost
then either: ask again.
"""

import asyncio
import html
import logging
import os
import sys

import aiohttp
from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from suno_cover_async import (
    CoverFailedError,
    CoverStatus,
    CoverTimeoutError,
    InvalidRequestError,
    SunoCoverClient,
    SunoCoverError,
    Track,
)

API_URL = os.environ.get("SLACK_API_URL", AsyncWebClient.BASE_URL)
USERS = set(os.environ.get("SLACK_USERS", "").replace(",", " ").split())
PATIENCE = 3600  # seconds until the bot gives up a cover that does not finish
NOT_SENT = (SlackClientError, aiohttp.ClientError, OSError)
log = logging.getLogger("slack_bot")
SUNO = web.AppKey("suno", SunoCoverClient)


def refusal(user, song):
    """Return why nothing is begun, or an empty text."""
    if user not in USERS:
        return "Each cover costs money, and you are not among those who may ask for one."
    try:
        Track(song)
    except ValueError:
        return "Write the song's task id: `/cover 73d6128b3523a0079df10da9471017c8`"
    return ""


class Answer:
    """The answer to one command: a message that is edited, with the images in its thread."""

    def __init__(self, slack, channel, song):
        """Begin with what was asked."""
        self.slack, self.channel, self.song = slack, channel, song
        self.name = html.escape(song, quote=False)  # an id such as <!channel> mentions nobody
        self.ts = None

    async def give(self, suno, respond):
        """Show the progress, then the cover; if that cannot be shown, nothing is requested."""
        try:
            text = f"The cover of {self.name} is requested …"
            message = await self.slack.chat_postMessage(channel=self.channel, text=text)
        except NOT_SENT as error:
            log.warning("not posted: %s", error)
            await respond("I cannot write here: invite me to this channel, then ask again.")
            return
        self.channel, self.ts = message["channel"], message["ts"]
        await self.make(suno)

    async def make(self, suno):
        """Make the cover, show each change of its status, and send its images."""
        try:
            task = await suno.submit(self.song)
            async for details in suno.watch(task, timeout=PATIENCE):
                if details.status is CoverStatus.GENERATING:
                    await self.edit(f"The cover of {self.name} is being generated …")
            if details.status is CoverStatus.FAILED:
                raise CoverFailedError(details)
            files = await suno.download(details, into="covers")
        except Exception as error:  # whatever it is, the user gets an answer
            log.warning("no cover: %s", error, exc_info=not isinstance(error, SunoCoverError))
            await self.edit(f"No cover of {self.name}: {reason(error)}")
            return
        arrived = await self.upload(files)
        links = [] if arrived else [f"<{html.escape(url)}>" for url in details.images]
        await self.edit("\n".join([f"The cover of {self.name}", *links]))

    async def upload(self, files):
        """Send the images into the message's thread; return whether that worked."""
        uploads = [{"file": str(file), "filename": file.name} for file in files]
        for _ in range(3):
            try:
                await self.slack.files_upload_v2(
                    file_uploads=uploads, channel=self.channel, thread_ts=self.ts
                )
            except Exception as error:  # links are sent at last
                log.warning("not sent: %s", error, exc_info=not isinstance(error, NOT_SENT))
            else:
                return True
        log.error("not sent: the images are %s", [str(file) for file in files])
        return False

    async def edit(self, text):
        """Edit the message; a cover is worth more than that."""
        try:
            await self.slack.chat_update(channel=self.channel, ts=self.ts, text=text)
        except NOT_SENT as error:
            log.warning("not edited: %s", error)


def reason(error):
    """Return what a user may read of an error, and what to do; the log has the rest."""
    if isinstance(error, CoverFailedError | InvalidRequestError):
        return html.escape(error.message[:500], quote=False)
    if isinstance(error, CoverTimeoutError):
        return "it is not finished yet. Ask again later, it is paid for once."
    if isinstance(error, SunoCoverError) and error.retryable:
        return "the service does not answer at the moment. Ask again later, it is paid for once."
    return "the bot's owner finds the reason in its log."


def application():
    """Return the web application that Slack calls."""
    slack = AsyncWebClient(
        os.environ["SLACK_BOT_TOKEN"],
        base_url=API_URL,
        retry_handlers=[
            AsyncConnectionErrorRetryHandler(max_retry_count=3),
            AsyncRateLimitErrorRetryHandler(max_retry_count=3),
            AsyncServerErrorRetryHandler(max_retry_count=3),
        ],
    )
    bolt = AsyncApp(client=slack, signing_secret=os.environ["SLACK_SIGNING_SECRET"])
    app, work = bolt.web_app(), set()

    @bolt.command("/cover")
    async def cover(ack, command, respond):
        """Answer at once, and begin."""
        song = command.get("text", "").strip()
        why = refusal(command["user_id"], song)
        await ack(why)
        if not why:
            answer = Answer(slack, command["channel_id"], song)
            task = asyncio.create_task(answer.give(app[SUNO], respond))
            work.add(task)
            task.add_done_callback(work.discard)

    async def client_of_the_app(app):
        async with SunoCoverClient() as app[SUNO]:
            yield
            while work:  # the application is told to stop, and takes no more commands
                await asyncio.wait(work)

    app.cleanup_ctx.append(client_of_the_app)
    return app


if __name__ == "__main__":
    for name in ("SUNO_API_KEY", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"):
        if not os.environ.get(name):
            sys.exit(f"Set {name}; the first lines of this file say how.")
    logging.basicConfig(level=logging.INFO)
    web.run_app(application(), host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))

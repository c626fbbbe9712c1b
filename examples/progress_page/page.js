// Asks for a cover, and shows what the server tells of it. All texts are set as text, never as HTML.

const STATES = ["queued", "submitted", "generating", "finished"];
const SAID = {
  queued: "The cover is queued.",
  submitted: "The cover was submitted.",
  generating: "The cover is being generated.",
  finished: "The cover is finished.",
};
const RETRY = 3000; // milliseconds

const at = (id) => document.getElementById(id);
let asked = 0; // how often was asked; answers to earlier questions are dropped
let source = null; // the stream of events
let state = "queued";
let began = 0; // when the cover was asked for, by the clock of this page
let ticking = 0;

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const song = at("song").value.trim();
  if (song) ask(song, false);
});

at("again").addEventListener("click", () => ask(at("of").textContent, true));

// Only a person's click asks. With `again`, a cover that failed is submitted anew, which may cost
// again.
async function ask(song, again) {
  const mine = ++asked;
  begin(song);
  let answer, said;
  try {
    answer = await fetch("/covers", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ song, again }),
    });
    said = await answer.json();
  } catch {
    said = { detail: "The server cannot be reached. Ask again: nothing is paid twice." };
  }
  if (mine !== asked) return;
  if (said.cover) listen(song, said.cover, mine);
  else fail(said.detail);
}

// A browser reconnects by itself, with the id of the last event, unless it was refused.
function listen(song, cover, mine) {
  source = new EventSource(`${cover}/events`);
  source.onmessage = (event) => show(JSON.parse(event.data), cover, song);
  source.onopen = () => say(state);
  source.onerror = () => {
    at("status").textContent = "The connection was lost. Trying again.";
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => mine === asked && follow(song, cover, mine), RETRY);
    }
  };
}

// Opens the stream again. It asks by GET, which begins nothing: that a cover failed meanwhile is
// told, and a person decides.
async function follow(song, cover, mine) {
  const answer = await fetch(cover).catch(() => null);
  if (mine !== asked) return;
  if (answer?.status === 404) {
    fail("The server does not know this cover any more. Ask for the song again.");
  } else {
    listen(song, cover, mine);
  }
}

function begin(song) {
  end();
  at("progress").hidden = false;
  at("of").textContent = song;
  at("images").replaceChildren();
  at("error").textContent = "";
  at("again").hidden = true;
  at("seconds").textContent = "";
  mark("queued");
  began = performance.now();
  ticking = setInterval(tick, 1000);
}

function end() {
  source?.close();
  clearInterval(ticking);
}

function show(news, cover, song) {
  began = performance.now() - news.seconds * 1000;
  tick();
  if (news.state === "failed") return fail(news.message, news.needs_choice);
  mark(news.state);
  if (news.state !== "finished") return;
  end();
  const numbers = Array.from({ length: news.images }, (_, index) => index + 1);
  at("images").replaceChildren(...numbers.map((number) => figure(`${cover}/images/${number}`, number, song)));
}

function figure(url, number, song) {
  const it = document.createElement("figure");
  const image = Object.assign(new Image(), { src: url, alt: `Cover ${number} of song ${song}` });
  const link = Object.assign(document.createElement("a"), { href: url, textContent: `Save cover ${number}` });
  link.download = "";
  it.append(image, link);
  return it;
}

function mark(reached) {
  state = reached;
  const now = STATES.indexOf(state);
  for (const step of at("steps").children) {
    const place = STATES.indexOf(step.dataset.state);
    step.classList.toggle("done", place <= now);
    if (place === now) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  say(state);
}

function say(state) {
  at("status").textContent = SAID[state];
}

function fail(message, needsChoice = false) {
  end();
  for (const step of at("steps").children) step.removeAttribute("aria-current");
  at("status").textContent = "";
  at("error").textContent = message;
  at("again").hidden = !needsChoice;
}

function tick() {
  at("seconds").textContent = `${Math.max(0, Math.round((performance.now() - began) / 1000))} s`;
}

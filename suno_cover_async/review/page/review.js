// The page on which a person chooses one image of each cover: what it shows, and what keys and
// buttons do. `server.js` saves, `images.js` has the figures, `session.js` asks for a new session.
//
// Text of others reaches the document by `textContent` alone.

import { figuresOf, forget, openZoom, prefetch, sidesOf, sized } from "./images.js";
import * as server from "./server.js";
import { isWaiting, newSession, readCarried } from "./session.js";

const FILTERS = {
  undecided: "Undecided",
  decided: "Decided",
  neither: "Neither",
  later: "Later",
  all: "All",
};
const HEADINGS = {
  undecided: "Undecided covers",
  decided: "Decided covers",
  neither: "Covers with neither image",
  later: "Covers for later",
  all: "All covers",
};
const SIDES = ["left", "right"];
const PAGE = 50; // pairs that are read at once
const FEW = 25; // pairs left when the next page is read
const MANY_COLUMNS = 5; // more are collapsed
const LONG_TITLE = 48; // characters; it is set smaller
const LONG_LINES = 60; // characters of what will be written; set smaller as well
const POLL = 4_000; // ms between two requests for the summary
const TYPING = 200; // ms without a key until a search begins
const KEYS_OFF = "suno-review-keys-off";

const { pairs, saves, same, summary } = server;
const byId = (id) => document.getElementById(id);
const page = byId("page");
const title = byId("title");
const searchField = byId("search-field");
const useKeys = byId("use-keys");

let view = { show: "undecided", search: "", grid: false, pair: null }; // the URL's fragment
let cells = { after: 0, more: false, isLoading: false }; // of the grid
let found = null; // the counts of the search, if there is one
const past = []; // {number, decision, image}: what undoing returns to, the latest last
const returned = new Map(); // by number: {reason, isConflict, mine}
let list = newList();

const make = (tag, text, values) =>
  Object.assign(document.createElement(tag), { textContent: text }, values);
const shown = () => (view.grid ? undefined : list.pairs[list.at]);
const named = (pair) => pair.title || `Cover ${pair.number}`;
const say = (text) => (byId("status").textContent = text);
const focusTitle = () => title.focus({ preventScroll: true });
const actionFor = (key) => document.querySelector(`button[data-key="${key}"]`);

// --- Which pairs --------------------------------------------------------------------------------

// A list begins with what was refused, whatever its filter.
function newList(after = 0) {
  const back = [...returned.keys()].map((number) => pairs.get(number));
  return { pairs: back, at: 0, after, more: true, loading: null };
}

async function readPage(after) {
  const asked = { decision: view.show, search: view.search, after, limit: PAGE };
  const answer = await server.persist(`api/pairs?${new URLSearchParams(asked)}`);
  return { ...answer, pairs: answer.pairs.map(server.know) };
}

function fill() {
  const mine = list;
  mine.loading ??= extend(mine).finally(() => (mine.loading = null));
  return mine.loading;
}

async function extend(mine) {
  try {
    const answer = await readPage(mine.after);
    if (mine !== list) return;
    mine.more = answer.next !== null;
    mine.after = answer.next ?? mine.after;
    found = view.search ? answer.counts : null;
    const isOpen = ({ choice }) => view.show !== "undecided" || choice.decision === "undecided";
    mine.pairs.push(...answer.pairs.filter((pair) => isOpen(pair) && !mine.pairs.includes(pair)));
  } catch (error) {
    mine.more = false;
    say(`The covers cannot be read: ${error.message}`);
  }
}

// Put a pair where the list is, or after that.
function bringBack(pair, offset) {
  const at = list.pairs.indexOf(pair);
  if (at >= 0) list.pairs.splice(at, 1);
  if (at >= 0 && at < list.at) list.at -= 1;
  list.pairs.splice(list.at + offset, 0, pair);
}

// Show what the URL's fragment says.
async function open() {
  const values = new URLSearchParams(location.hash.slice(1));
  const wanted = values.get("show");
  view = {
    show: Object.hasOwn(FILTERS, wanted) ? wanted : "undecided",
    search: values.get("search") ?? "",
    grid: values.get("view") === "grid",
    pair: Number(values.get("pair")) || null,
  };
  const mine = newList(view.pair ? view.pair - 1 : 0);
  list = mine;
  found = null;
  say("");
  page.ariaBusy = "true";
  if (document.activeElement !== searchField) searchField.value = view.search;
  if (view.grid) {
    openGrid();
    return;
  }
  const pair = view.pair && (await server.readPair(view.pair));
  if (mine !== list) return;
  if (pair) bringBack(pair, 0);
  await show();
}

function fragment(changes) {
  const wanted = { ...view, pair: null, ...changes };
  const values = new URLSearchParams();
  if (wanted.show !== "undecided") values.set("show", wanted.show);
  if (wanted.search) values.set("search", wanted.search);
  if (wanted.grid) values.set("view", "grid");
  if (wanted.pair) values.set("pair", wanted.pair);
  return `#${values}`;
}

function go(changes) {
  const target = fragment(changes);
  if (target === (location.hash || "#")) open();
  else location.hash = target;
  focusTitle();
}

// --- Decisions ----------------------------------------------------------------------------------

function words(pair, { decision, image }) {
  if (decision !== "image") return decision;
  const side = pair.images.findIndex((one) => one.image === image);
  return pair.images.length <= 2 && SIDES[side] ? SIDES[side] : `image ${image}`;
}

function take(side) {
  const pair = shown();
  if (!pair) return;
  const image = sidesOf(pair)[side];
  if (!image || image.problem) say(`There is no ${SIDES[side]} image to take.`);
  else decide({ decision: "image", image: image.image });
}

function decide(choice) {
  const pair = shown();
  if (!pair) return;
  past.push({ number: pair.number, decision: pair.choice.decision, image: pair.choice.image });
  returned.delete(pair.number);
  if (!same(pair.choice, choice)) server.save(pair, choice);
  list.at += 1;
  const what = words(pair, choice);
  advance(`${what[0].toUpperCase()}${what.slice(1)}: ${named(pair)}.`);
}

function undo() {
  if (view.grid) return;
  const last = past.pop();
  if (!last) {
    say("There is nothing to undo.");
    return;
  }
  const pair = pairs.get(last.number);
  const isOurs = pair.choice.decided_by === summary.person;
  bringBack(pair, 0);
  if (isOurs && !same(pair.choice, last)) server.save(pair, last);
  const isUndone = isOurs || same(pair.choice, last);
  advance(isUndone ? `Undone: ${named(pair)}.` : "Somebody else decided since.");
}

function keepTheirs() {
  const pair = shown();
  returned.delete(pair.number);
  list.at += 1;
  advance(`Kept ${words(pair, pair.choice)}: ${named(pair)}.`);
}

// Show the pair that is next now. The focus stays on an image of the same side, and moves from a
// button, which would take the next key, to the title.
function advance(said) {
  const side = [...document.querySelectorAll("#stage .image")].indexOf(document.activeElement);
  if (view.pair) {
    view.pair = null;
    history.replaceState(null, "", fragment({}));
  }
  show(said);
  const image = document.querySelectorAll("#stage .image:not([hidden])")[side];
  if (image) image.focus({ preventScroll: true });
  else if (side >= 0 || document.activeElement.closest("button")) focusTitle();
}

// Return a pair whose decision was refused to the list.
function onRefused({ detail: { pair, title: name, reason, isConflict, mine } }) {
  for (let at = past.length - 1; at >= 0; at -= 1) {
    if (past[at].number === pair?.number) past.splice(at, 1);
  }
  if (!pair) {
    say(`Not saved, “${name}” is no longer there: ${reason}`);
    return;
  }
  returned.set(pair.number, { reason, isConflict, mine });
  forget(pair.number);
  const isShown = shown() === pair;
  if (!isShown) bringBack(pair, shown() ? 1 : 0);
  if (!view.grid) show();
  say(`“${named(pair)}” was not saved${isShown ? "" : " and is the next cover"}: ${reason}`);
}

// --- A pair -------------------------------------------------------------------------------------

async function show(said) {
  const mine = list;
  while (!shown() && list.more) {
    page.ariaBusy = "true";
    await fill();
    if (mine !== list) return;
  }
  page.ariaBusy = "false";
  const pair = shown();
  // Covers are saved in any order: at the end of the list, undecided ones may be before it.
  if (!pair && view.show === "undecided" && list.pairs.length) {
    list = newList();
    await show(said);
    return;
  }
  showOnly(pair ? ["stage", "details", "actions"] : ["empty", "actions"]);
  if (pair) showPair(pair);
  else showEmpty();
  actionFor("Backspace").disabled = !past.length;
  if (said) say(pair && !said.startsWith("Undone") ? `${said} Next: ${named(pair)}` : said);
  showCounts();
  if (list.more && list.pairs.length - list.at <= FEW) {
    fill().then(() => prefetch(list.pairs, list.at));
  }
}

function showOnly(ids) {
  for (const id of ["stage", "empty", "grid", "details", "actions"]) {
    byId(id).hidden = !ids.includes(id);
  }
}

function showTitle(text, { position = "", artist = "" }) {
  byId("position").textContent = position;
  title.textContent = text;
  title.classList.toggle("long", text.length > LONG_TITLE);
  byId("artist").textContent = artist;
  byId("artist").hidden = !artist;
  document.title = `${text} · ${summary.ledger}`;
}

function showPair(pair) {
  const { decision, image: chosen } = pair.choice;
  showTitle(named(pair), { position: `No. ${pair.number}`, artist: pair.artist ?? "" });
  byId("stage").replaceChildren(...figuresOf(pair));
  for (const figure of document.querySelectorAll("#stage figure")) {
    const isChosen = decision === "image" && Number(figure.dataset.image) === chosen;
    figure.classList.toggle("chosen", isChosen);
    figure.querySelector(".mark").textContent = isChosen ? "Chosen" : "";
  }
  const sides = sidesOf(pair);
  for (const [side, key] of ["ArrowLeft", "ArrowRight"].entries()) {
    const image = sides[side];
    const isChosen = decision === "image" && image?.image === chosen;
    setAction(key, Boolean(image) && !image.problem, isChosen);
  }
  setAction("ArrowDown", true, decision === "neither");
  setAction(" ", true, decision === "later");
  actionFor("Enter").disabled = sides.every((image) => image.problem);
  showNotice(pair);
  showDetails(pair);
  prefetch(list.pairs, list.at);
}

function setAction(key, isPossible, isPressed) {
  actionFor(key).disabled = !isPossible;
  actionFor(key).ariaPressed = String(isPressed);
}

function showNotice(pair) {
  const back = returned.get(pair.number);
  byId("notice").hidden = !back;
  if (!back) return;
  byId("who-was-first").hidden = !back.isConflict;
  byId("reason").textContent = `Not saved: ${back.reason}`;
  if (!back.isConflict) return;
  const { decided_by: who, decided_at: when } = pair.choice;
  const clock = { hour: "2-digit", minute: "2-digit" };
  const time = when ? ` at ${new Date(when).toLocaleTimeString([], clock)}` : "";
  const [theirs, mine] = [words(pair, pair.choice), words(pair, back.mine)];
  byId("reason").textContent = `${who ?? "Somebody"} was first${time}: ${theirs}. You: ${mine}.`;
}

function showDetails(pair) {
  const count = pair.images.length;
  byId("others").hidden = count <= 2;
  byId("others").textContent = `Show the other images (${count} in all)`;
  const { decision } = pair.choice;
  byId("written").hidden = !pair.destinations.length || decision === "neither";
  const isChosen = decision === "image";
  byId("written").querySelector("h2").textContent = `Will be written${isChosen ? "" : " once chosen"}`;
  byId("written").classList.toggle("long", pair.destinations.join("").length > LONG_LINES);
  const lines = pair.destinations.map((text) => make("li", text));
  byId("written").querySelector("ul").replaceChildren(...lines);
  const others = pair.titles.filter((text) => text !== pair.title);
  const rows = others.map((text) => ["Also titled", text]);
  rows.push(...Object.entries(pair.columns), ["Music task", pair.music_task_id]);
  const columns = byId("columns");
  columns.open = rows.length <= MANY_COLUMNS;
  columns.querySelector("summary").textContent = `Columns (${rows.length})`;
  const items = rows.map(([name, text]) => [
    make("dt", name, { dir: "auto" }),
    make("dd", text, { dir: "auto" }),
  ]);
  columns.querySelector("dl").replaceChildren(...items.flat());
}

// --- No pair ------------------------------------------------------------------------------------

function showEmpty() {
  const counts = server.adjusted(found ?? summary.counts);
  const [heading, text, ways] = emptiness(counts);
  showTitle(HEADINGS[view.show], {});
  byId("notice").hidden = true;
  for (const button of document.querySelectorAll("#actions button:not([data-key=Backspace])")) {
    button.disabled = true;
    button.ariaPressed = null;
  }
  byId("empty-title").textContent = heading;
  byId("empty-text").textContent = text;
  const isDone = view.show === "undecided" && !view.search && counts.all > 0;
  byId("next-step").hidden = !isDone || !summary.next_step;
  byId("next-step").querySelector("code").textContent = summary.next_step;
  const buttons = ways.map(([label, changes]) =>
    make("button", label, { type: "button", onclick: () => go(changes) }),
  );
  byId("ways-out").replaceChildren(...buttons);
}

// Return a heading, a text and ways out, each a label and changes to the view.
function emptiness(counts) {
  const all = ["Show all", { show: "all", search: "" }];
  const undecided = [`Decide ${counts.undecided} undecided`, { show: "undecided" }];
  if (view.search) {
    const isElsewhere = view.show !== "all" && counts.all > 0;
    const where = isElsewhere ? ` under ${FILTERS[view.show]}` : "";
    const elsewhere = ["Search in all", { show: "all" }];
    const clear = ["Clear the search", { search: "" }];
    const count = counts.all === 1 ? "1 cover matches" : `${counts.all} covers match`;
    const ways = isElsewhere ? [elsewhere, clear] : [clear];
    const text = isElsewhere ? `Under All, ${count}.` : "";
    return [`No title with “${view.search}”${where}`, text, ways];
  }
  if (!counts.all) return ["No covers yet", "They appear here as the batch saves them.", []];
  if (view.show === "undecided") {
    const later = [`Decide ${counts.later} put off`, { show: "later" }];
    const text = `${counts.image} chosen, ${counts.neither} neither, ${counts.later} later.`;
    return ["All covers are decided", text, counts.later ? [later, all] : [all]];
  }
  const ways = counts.undecided ? [undecided] : [];
  if (list.at) return [`End of ${FILTERS[view.show]}`, "", [["Begin again", {}], ...ways]];
  return [`Nothing under ${FILTERS[view.show]}`, "", [...ways, all]];
}

// --- Counts and filters -------------------------------------------------------------------------

let drawn = "";

function showCounts() {
  const total = server.adjusted(summary.counts);
  const decided = total.image + total.neither;
  const progress = document.querySelector("progress");
  progress.max = Math.max(total.all, 1);
  progress.value = decided;
  byId("decided").textContent = `${decided} of ${total.all} decided`;
  byId("ledger").textContent = [summary.ledger, summary.person].filter(Boolean).join(" · ");
  actionFor("g").ariaPressed = String(view.grid);
  const counts = server.adjusted(found ?? summary.counts);
  counts.decided = counts.image + counts.neither;
  const now = JSON.stringify([view, counts]);
  if (now === drawn) return; // a link that has the focus keeps it
  drawn = now;
  const links = Object.keys(FILTERS).map((name) => filterLink(name, counts));
  byId("filters").replaceChildren(...links);
}

function filterLink(name, counts) {
  const link = make("a", FILTERS[name], { href: fragment({ show: name }) });
  link.append(" ", make("span", String(counts[name])));
  if (name === view.show) link.ariaCurrent = "true";
  const item = make("li");
  item.append(link);
  return item;
}

function showOffline() {
  const line = byId("offline");
  const unsaved = saves.size === 1 ? "1 decision is" : `${saves.size} decisions are`;
  const text = saves.size ? `Offline: ${unsaved} not saved yet` : "Offline: everything is saved";
  line.hidden = !server.isOffline;
  if (line.textContent !== text) line.textContent = text;
}

// --- The grid -----------------------------------------------------------------------------------

const gridEnd = byId("grid-end");
const near = { rootMargin: "800px", scrollMargin: "800px" };
const nearEnd = new IntersectionObserver(([entry]) => entry.isIntersecting && fillGrid(), near);

function openGrid() {
  page.ariaBusy = "false";
  showOnly(["grid"]);
  byId("notice").hidden = true;
  const what = view.search ? `“${view.search}”` : HEADINGS[view.show];
  showTitle(what, { position: "Grid" });
  byId("cells").replaceChildren();
  gridEnd.textContent = "";
  cells = { after: 0, more: true, isLoading: false };
  observeEnd();
  showCounts();
}

// An observer tells of changes only, and the end may still be near after a page was added.
function observeEnd() {
  nearEnd.unobserve(gridEnd);
  nearEnd.observe(gridEnd);
}

async function fillGrid() {
  const mine = cells;
  if (!mine.more || mine.isLoading) return;
  mine.isLoading = true;
  const answer = await readPage(mine.after);
  if (mine !== cells) return;
  found = view.search ? answer.counts : null;
  mine.after = answer.pairs.at(-1)?.number ?? mine.after;
  mine.more = answer.next !== null;
  mine.isLoading = false;
  byId("cells").append(...answer.pairs.map(cellOf));
  const isEmpty = !byId("cells").children.length;
  gridEnd.textContent = isEmpty ? emptiness(server.adjusted(found ?? summary.counts))[0] : "";
  showCounts();
  observeEnd();
}

function cellOf(pair) {
  const cell = document.importNode(byId("cell-template").content, true).firstElementChild;
  const { decision, image: chosen } = pair.choice;
  cell.dataset.decision = decision;
  cell.firstElementChild.href = fragment({ grid: false, pair: pair.number });
  cell.querySelector(".number").textContent = pair.number;
  cell.querySelector(".name").textContent = named(pair);
  const what = words(pair, pair.choice);
  cell.querySelector(".mark").textContent = decision === "undecided" ? "" : what;
  for (const image of pair.images) {
    const values = { alt: "", width: 128, height: 128, loading: "lazy", decoding: "async" };
    const thumbnail = make(image.problem ? "span" : "img", image.problem ? "missing" : "");
    if (image.problem) thumbnail.className = "missing";
    else {
      Object.assign(thumbnail, values);
      thumbnail.srcset = `${sized(image.url, 128)} 1x, ${sized(image.url, 300)} 2x`;
    }
    thumbnail.classList.toggle("chosen", decision === "image" && image.image === chosen);
    cell.querySelector(".thumbs").append(thumbnail);
  }
  return cell;
}

// --- Keys and buttons ---------------------------------------------------------------------------

const ACTIONS = {
  ArrowLeft: () => take(0),
  ArrowRight: () => take(1),
  ArrowDown: () => decide({ decision: "neither", image: null }),
  " ": () => decide({ decision: "later", image: null }),
  Backspace: undo,
  Enter: () => shown() && openZoom(shown()),
  "/": () => searchField.select(),
  "?": () => byId("help").showModal(),
  g: () => go({ grid: !view.grid }),
};
const CONTROLS = "a, button:not(.image), input, select, summary, textarea";

// Whether a key is for the page, and not for what has the focus.
function isOurs(event) {
  const isTaken = event.defaultPrevented || document.querySelector("dialog[open]");
  if (isTaken || !useKeys.checked) return false;
  const hasModifier = event.ctrlKey || event.altKey || event.metaKey;
  const hasShift = event.shiftKey && !"/?".includes(event.key); // some keyboards need it for these
  if (hasModifier || hasShift || event.isComposing) return false;
  if (!Object.hasOwn(ACTIONS, event.key)) return false;
  const control = event.target.closest?.(CONTROLS);
  return !control || control.closest("dialog") !== null; // of a dialog that was closed just now
}

addEventListener("keydown", (event) => {
  if (!isOurs(event)) return;
  event.preventDefault();
  if (!event.repeat) ACTIONS[event.key]();
});

addEventListener("keyup", (event) => {
  if (event.key === " " && isOurs(event)) event.preventDefault(); // Firefox would press the image
});

page.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".image")) openZoom(shown());
  else if (button.dataset.key) ACTIONS[button.dataset.key]();
  else if (button.id === "keep-theirs") keepTheirs();
  else if (button.id === "take-mine") decide(returned.get(shown().number).mine);
  else if (button.id === "copy") copy();
  else if (button.id === "others") showOthers();
});

for (const button of document.querySelectorAll("dialog [data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close(button.value));
}

function showOthers() {
  const pair = shown();
  pair.first = ((pair.first ?? 0) + 2) % pair.images.length;
  if (pair.first % 2) pair.first = 0;
  showPair(pair);
}

async function copy() {
  const code = byId("next-step").querySelector("code");
  getSelection().selectAllChildren(code); // for the keyboard, where a page may not copy
  try {
    await navigator.clipboard.writeText(code.textContent);
    say("Copied.");
  } catch {
    say("Selected: copy it with the keyboard.");
  }
}

function switchKeys() {
  page.classList.toggle("without-keys", !useKeys.checked);
  try {
    if (useKeys.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  } catch {} // without storage it lasts as long as the page
}

try {
  useKeys.checked = !localStorage.getItem(KEYS_OFF);
} catch {}
switchKeys();
useKeys.addEventListener("change", switchKeys);

let typing;
searchField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    history.replaceState(null, "", fragment({ search: searchField.value.trim() }));
    open();
  }, TYPING);
});
searchField.addEventListener("keydown", (event) => {
  if (event.key === "Enter") focusTitle();
});

// --- News of the server -------------------------------------------------------------------------

server.whenSessionEnds(newSession);
server.events.addEventListener("refused", onRefused);
server.events.addEventListener("change", () => {
  showOffline();
  showCounts();
});
server.events.addEventListener("saved", ({ detail: { from, to } }) => {
  if (!found) return;
  found[from] -= 1;
  found[to] += 1;
});
server.events.addEventListener("back", () => {
  showOffline();
  forget(); // images may be missing in what was built meanwhile
  if (shown()) showPair(shown());
});

async function poll() {
  if (document.visibilityState === "visible" && !isWaiting()) await lookForNew();
  setTimeout(poll, POLL);
}

async function lookForNew() {
  const before = summary.counts.all;
  await server.readSummary();
  const counts = server.adjusted(summary.counts);
  const isAtEnd = !shown() && !list.more && !list.loading;
  const isNew = view.show === "undecided" ? counts.undecided > 0 : !list.pairs.length && counts.all;
  if (view.grid && counts.all > before && !cells.more) {
    cells.more = true;
    await fillGrid();
    say("There are new covers.");
  } else if (!view.grid && isAtEnd && (view.search || isNew)) {
    list = newList();
    await show();
  }
}

try {
  await server.readSummary();
  await server.adopt(server.stored());
  await readCarried((pair, choice) => `${named(pair)}: ${words(pair, choice)}`);
  addEventListener("hashchange", () => {
    if (document.activeElement.closest("a")) focusTitle();
    open();
  });
  await open();
  setTimeout(poll, POLL);
} catch (error) {
  showTitle("The page cannot start", {});
  say(error.message);
}

// The page on which a person chooses one image of each cover.
//
// Decisions are kept in `saves` until the server has them; `list` holds the pairs of the filter in
// the URL's fragment. Text of others reaches the document by `textContent` alone.

const FILTERS = { undecided: "Undecided", decided: "Decided", neither: "Neither", later: "Later", all: "All" };
const SIDES = ["left", "right"];
const AHEAD = 4; // pairs that are fetched and decoded before they are shown
const PAGE = 50;
const POLL = 4_000; // ms between two looks at the summary
const PATIENCE = 15_000; // ms until a request counts as failed
const ZOOM_STEP = 1.5;

const byId = (id) => document.getElementById(id);
const make = (tag, text = "", values = {}) => Object.assign(document.createElement(tag), { textContent: text, ...values });
const page = byId("page");

let summary = { ledger: "", person: "", counts: {}, next_step: "" };
let found = null; // counts of the search, if there is one
let view = { show: "undecided", search: "", grid: false, pair: null };
let list = newList(0);
const pairs = new Map(); // by number: every pair seen, the person's own decisions included
const stages = new Map(); // by number: built ahead, with images that are decoded
const returned = new Map(); // by number: a decision that was refused, and why
const past = []; // decisions to undo, the last one last

// --- Requests -----------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered with status ${status}`);
    Object.assign(this, { status, pair: body.pair });
  }
}

async function request(path, method = "GET", body = undefined) {
  const answer = await fetch(path, {
    method,
    body: body && JSON.stringify(body),
    headers: body ? { "Content-Type": "application/json" } : {},
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

// Repeat a request until the server answers it: after a pause, or in a new session.
async function persist(path, method, body) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8_000)) {
    try {
      const answer = await request(path, method, body);
      setOffline(false);
      return answer;
    } catch (error) {
      if (error.status === 401) await newSession();
      else if (error.status < 500) throw error;
      else {
        setOffline(true);
        await pause(wait);
      }
    }
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    addEventListener("online", resolve, { once: true });
  });
}

let offline = false;

function setOffline(value) {
  const isBack = offline && !value;
  offline = value;
  showOffline();
  if (isBack) {
    stages.clear(); // images may be missing in them
    if (!view.grid) show();
  }
}

function showOffline() {
  const line = byId("offline");
  const count = saves.size;
  line.hidden = !offline;
  const unsaved = count === 1 ? "1 decision is" : `${count} decisions are`;
  const text = count ? `offline: ${unsaved} not saved yet` : "offline: everything is saved";
  if (line.textContent !== text) line.textContent = text;
}

// --- Saving -------------------------------------------------------------------------------------

// By number, in order: {task, title, decision, image, revision, from, sent}. `from` is the decision
// that the server counts; `sent` are decisions whose answers were lost, which it may have.
const saves = new Map();
let isSaving = false;
let savedCount = 0;

const same = (one, other) => one.decision === other.decision && one.image === other.image;

const keyOf = (number) =>
  JSON.stringify(["suno-review", location.pathname, summary.ledger, summary.person, number]);

function remember(number) {
  try {
    const save = saves.get(number);
    if (save) localStorage.setItem(keyOf(number), JSON.stringify(save));
    else localStorage.removeItem(keyOf(number));
  } catch {} // storage is full or switched off: the decision lasts as long as the page
}

function stored() {
  const all = [];
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith('["suno-review",')) continue;
      const number = JSON.parse(key).at(-1);
      if (key === keyOf(number)) all.push([number, JSON.parse(localStorage.getItem(key))]);
    }
  } catch {}
  return all;
}

// Take decisions from the storage or another address; those of another ledger's covers stay there.
async function adopt(decisions) {
  for (const [number, save] of decisions) {
    try {
      const pair = know(await persist(`api/pairs/${Number(number)}`));
      if (pair.music_task_id !== save.task || saves.has(pair.number)) continue;
      const { task, title, decision, image, revision, sent } = save;
      saves.set(pair.number, { task, title, decision, image, revision, sent: sent ?? [], from: pair.choice.decision });
      know(pair);
      remember(pair.number);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  send();
}

function save(pair, { decision, image }) {
  const { revision, decision: from } = pair.choice;
  const older = saves.get(pair.number);
  const base = older ?? { task: pair.music_task_id, title: pair.title, revision, from, sent: [] };
  saves.set(pair.number, { ...base, decision, image });
  Object.assign(pair.choice, { decision, image, decided_by: summary.person });
  remember(pair.number);
  send();
}

// Send what is not saved, one request at a time and in order.
async function send() {
  if (isSaving) return;
  isSaving = true;
  while (saves.size) {
    const [number, { decision, image, revision }] = saves.entries().next().value;
    const given = saves.get(number);
    given.sent.push({ decision, image });
    remember(number);
    let choice;
    try {
      choice = await persist(`api/pairs/${number}/choice`, "PUT", { decision, image, revision });
    } catch (error) {
      const theirs = error.pair?.choice;
      const isOurs = theirs && (same(theirs, given) || given.sent.some((lost) => same(theirs, lost)));
      if (!isOurs) {
        await refuse(number, error);
        continue;
      }
      choice = theirs;
    }
    settle(number, choice);
  }
  isSaving = false;
}

function settle(number, choice) {
  const save = saves.get(number);
  for (const counts of [summary.counts, found ?? {}]) {
    counts[save.from] -= 1;
    counts[choice.decision] += 1;
  }
  savedCount += 1;
  if (same(save, choice)) saves.delete(number);
  else saves.set(number, { ...save, revision: choice.revision, from: choice.decision, sent: [] });
  pairs.get(number).choice.revision = choice.revision;
  remember(number);
  showOffline();
  showCounts();
}

// Return a pair whose save was refused to the list, with the reason.
async function refuse(number, error) {
  const { decision, image, title } = saves.get(number);
  saves.delete(number);
  remember(number);
  showOffline();
  const there = error.pair ?? (await persist(`api/pairs/${number}`).catch(() => null));
  for (let at = past.length - 1; at >= 0; at -= 1) if (past[at].number === number) past.splice(at, 1);
  if (!there) {
    say(`“${title}” is not saved: ${error.message}`);
    return;
  }
  const pair = know(there);
  returned.set(number, { reason: error.message, isConflict: error.status === 409, mine: { decision, image } });
  const isShown = shown() === pair;
  if (!isShown) bringBack(pair, shown() ? 1 : 0);
  say(`“${named(pair)}” is back${isShown ? "" : ", as the next cover"}: ${error.message}`);
  stages.delete(number);
  if (!view.grid) show();
}

// --- The list of pairs --------------------------------------------------------------------------

function newList(after) {
  return { pairs: [], at: 0, after, more: true, loading: null };
}

const shown = () => (view.grid ? undefined : list.pairs[list.at]);
const named = (pair) => pair.title || `Cover ${pair.number}`;

// Keep one object for each pair, and the person's own decision in it.
function know(pair) {
  const known = pairs.get(pair.number) ?? {};
  Object.assign(known, pair, { choice: { ...pair.choice } });
  pairs.set(pair.number, known);
  const save = saves.get(pair.number);
  if (save) Object.assign(known.choice, { decision: save.decision, image: save.image });
  return known;
}

const pairsUrl = (after, limit) =>
  `api/pairs?${new URLSearchParams({ decision: view.show, search: view.search, after, limit })}`;

function fill() {
  const mine = list;
  mine.loading ??= (async () => {
    const answer = await persist(pairsUrl(mine.after, PAGE));
    if (mine !== list) return;
    found = view.search ? answer.counts : null;
    mine.more = answer.next !== null;
    mine.after = answer.next ?? mine.after;
    const open = answer.pairs.map(know).filter(
      (pair) => !mine.pairs.includes(pair, mine.at) && (view.show !== "undecided" || pair.choice.decision === "undecided"),
    );
    mine.pairs.push(...open);
    mine.loading = null;
    showCounts();
  })();
  return mine.loading;
}

// Put a pair before the one shown, or after it.
function bringBack(pair, offset) {
  const at = list.pairs.indexOf(pair);
  if (at >= 0) list.pairs.splice(at, 1);
  if (at >= 0 && at < list.at) list.at -= 1;
  list.pairs.splice(list.at + offset, 0, pair);
}

// Show what is in the URL's fragment.
async function open() {
  const values = new URLSearchParams(location.hash.slice(1));
  const show_ = values.get("show");
  const pair = Number(values.get("pair")) || null;
  view = {
    show: Object.hasOwn(FILTERS, show_) ? show_ : "undecided",
    search: values.get("search") ?? "",
    grid: values.get("view") === "grid",
    pair,
  };
  list = newList(pair ? pair - 1 : 0);
  found = null;
  if (document.activeElement !== searchField) searchField.value = view.search;
  showCounts();
  if (view.grid) {
    openGrid();
    return;
  }
  const mine = list;
  if (pair) {
    const there = await persist(`api/pairs/${pair}`).catch(() => null);
    if (mine !== list) return;
    if (there) list.pairs.push(know(there));
  }
  await show();
}

function fragment(changes) {
  const { show: filter, search, grid, pair } = { ...view, pair: null, ...changes };
  const values = new URLSearchParams();
  if (filter !== "undecided") values.set("show", filter);
  if (search) values.set("search", search);
  if (grid) values.set("view", "grid");
  if (pair) values.set("pair", pair);
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
  return SIDES[side] ? `the ${SIDES[side]} image` : `image ${image}`;
}

function take(side) {
  const pair = shown();
  if (!pair) return;
  const image = pair.images[side];
  if (!image || image.problem) say(`There is no ${SIDES[side]} image to take.`);
  else decide({ decision: "image", image: image.image });
}

function decide(choice) {
  const pair = shown();
  if (!pair) return;
  const { decision, image } = pair.choice;
  past.push({ number: pair.number, decision, image });
  returned.delete(pair.number);
  if (!same(pair.choice, choice)) save(pair, choice);
  list.at += 1;
  const done = `${words(pair, choice)}: ${named(pair)}.`;
  advance(done[0].toUpperCase() + done.slice(1));
}

function undo() {
  if (view.grid) return;
  const last = past.pop();
  if (!last) {
    say("There is nothing to undo.");
    return;
  }
  const pair = pairs.get(last.number);
  bringBack(pair, 0);
  if (pair.choice.decided_by !== summary.person && !same(pair.choice, last)) {
    advance(`${pair.choice.decided_by} changed this cover since.`);
    return;
  }
  if (!same(pair.choice, last)) save(pair, { decision: last.decision, image: last.image });
  advance("Undone.");
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
  const image = document.querySelectorAll("#stage .image")[side];
  if (image) image.focus({ preventScroll: true });
  else if (document.activeElement?.closest("button")) focusTitle();
}

const focusTitle = () => byId("title").focus({ preventScroll: true });

function keepTheirs() {
  const pair = shown();
  returned.delete(pair.number);
  list.at += 1;
  advance(`Kept: ${words(pair, pair.choice)}.`);
}

// --- What the page shows ------------------------------------------------------------------------

const say = (text) => (byId("status").textContent = text);

async function show(said) {
  const mine = list;
  while (!shown() && list.more) {
    page.ariaBusy = "true";
    await fill();
    if (mine !== list) return;
  }
  page.ariaBusy = "false";
  const pair = shown();
  // Covers are saved in any order, so the last page is not the end: what is undecided may be before.
  if (!pair && view.show === "undecided" && list.pairs.length) {
    list = newList(0);
    await show(said);
    return;
  }
  if (list.more && list.pairs.length - list.at <= 2 * AHEAD) fill().then(prefetch);
  page.dataset.view = pair ? "pair" : "empty";
  byId("stage").hidden = !pair;
  byId("empty").hidden = Boolean(pair);
  for (const id of ["grid"]) byId(id).hidden = true;
  for (const id of ["actions", "details"]) byId(id).hidden = false;
  if (pair) showPair(pair);
  else showEmpty();
  if (said) say(pair ? `${said} Next: ${named(pair)}` : said);
  showCounts();
}

function showPair(pair) {
  byId("position").textContent = `No. ${pair.number}`;
  showTitle(named(pair), pair.artist);
  document.title = `${named(pair)} · ${summary.ledger}`;
  byId("stage").replaceChildren(...stageOf(pair));
  const chosen = pair.choice.decision === "image" ? pair.choice.image : null;
  for (const figure of document.querySelectorAll("#stage figure")) {
    const isChosen = Number(figure.dataset.image) === chosen;
    figure.classList.toggle("chosen", isChosen);
    figure.querySelector(".mark").textContent = isChosen ? "Chosen" : "";
  }
  for (const [key, side] of [["ArrowLeft", 0], ["ArrowRight", 1]]) {
    const button = actionFor(key);
    const image = pair.images[side];
    button.ariaPressed = String(chosen !== null && image?.image === chosen);
    button.disabled = !image || Boolean(image.problem);
  }
  actionFor("ArrowDown").ariaPressed = String(pair.choice.decision === "neither");
  actionFor(" ").ariaPressed = String(pair.choice.decision === "later");
  for (const key of ["ArrowDown", " "]) actionFor(key).disabled = false;
  actionFor("Enter").disabled = pair.images.every((image) => image.problem);
  showNotice(pair);
  showDetails(pair);
  prefetch();
}

const actionFor = (key) => document.querySelector(`button[data-key="${key}"]`);

function showTitle(title, artist) {
  const heading = byId("title");
  heading.textContent = title;
  heading.classList.toggle("long", title.length > 48);
  byId("artist").textContent = artist ?? "";
  byId("artist").hidden = !artist;
}

function showNotice(pair) {
  const back = returned.get(pair.number);
  const notice = byId("notice");
  notice.hidden = !back;
  if (!back) return;
  const [text, buttons] = notice.children;
  text.textContent = `Not saved: ${back.reason}.`;
  if (back.isConflict) {
    const { decided_by: who, decided_at: when } = pair.choice;
    const time = when ? ` at ${new Date(when).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
    text.textContent = `${who ?? "Somebody"} was first${time}: ${words(pair, pair.choice)}. You: ${words(pair, back.mine)}.`;
  }
  buttons.hidden = !back.isConflict;
}

function showDetails(pair) {
  byId("written").hidden = !pair.destinations.length;
  byId("written").querySelector("ul").replaceChildren(...pair.destinations.map((text) => make("li", text)));
  const others = pair.titles.filter((title) => title !== pair.title);
  const rows = [...others.map((title) => ["Also titled", title]), ...Object.entries(pair.columns), ["Music task", pair.music_task_id]];
  const columns = byId("columns");
  columns.open = rows.length <= 5;
  columns.querySelector("summary").textContent = `Columns (${rows.length})`;
  columns.querySelector("dl").replaceChildren(
    ...rows.flatMap(([name, text]) => [make("dt", name, { dir: "auto" }), make("dd", text, { dir: "auto" })]),
  );
}

function showEmpty() {
  const counts = adjusted(found ?? summary.counts);
  const [title, text, ways] = emptiness(counts);
  byId("position").textContent = "";
  showTitle(FILTERS[view.show], null);
  document.title = `${title} · ${summary.ledger}`;
  byId("notice").hidden = true;
  byId("details").hidden = true;
  for (const button of document.querySelectorAll("#actions .keys button")) {
    button.disabled = button.dataset.key !== "Backspace";
    button.ariaPressed = null;
  }
  byId("empty-title").textContent = title;
  byId("empty-text").textContent = text;
  const isDone = !view.search && view.show === "undecided" && counts.all > 0;
  byId("next-step").hidden = !isDone || !summary.next_step;
  byId("next-step").querySelector("code").textContent = summary.next_step;
  byId("ways-out").replaceChildren(
    ...ways.map(([label, changes]) => make("button", label, { type: "button", onclick: () => go(changes) })),
  );
}

function emptiness(counts) {
  const all = ["Show all", { show: "all", search: "" }];
  const covers = (count) => (count === 1 ? "1 cover" : `${count} covers`);
  if (view.search) {
    const where = view.show === "all" ? "" : ` among ${FILTERS[view.show].toLowerCase()}`;
    const matches = counts.all ? `Elsewhere ${covers(counts.all)} match${counts.all === 1 ? "es" : ""}.` : "";
    const wider = counts.all && view.show !== "all" ? [["Search in all", { show: "all" }]] : [];
    return [`No title with “${view.search}”${where}`, matches, [...wider, all]];
  }
  if (!counts.all) return ["No covers yet", "They appear here as the batch saves them.", []];
  if (view.show === "undecided") {
    const later = counts.later ? [[`Review the ${counts.later} put off`, { show: "later" }]] : [];
    const text = `${counts.image} chosen, ${counts.neither} neither, ${counts.later} later.`;
    return [counts.all === 1 ? "The cover is decided" : `All ${counts.all} covers are decided`, text, [...later, all]];
  }
  const undecided = counts.undecided ? [[`Go on with ${counts.undecided} undecided`, { show: "undecided" }]] : [];
  if (list.pairs.length) return [`End of “${FILTERS[view.show]}”`, "", [["Begin again", {}], ...undecided]];
  return [`Nothing under “${FILTERS[view.show]}”`, "", [...undecided, all]];
}

// Counts with the decisions that are not saved yet.
function adjusted(counts) {
  const all = { undecided: 0, image: 0, neither: 0, later: 0, all: 0, ...counts };
  for (const { from, decision } of saves.values()) {
    all[from] -= 1;
    all[decision] += 1;
  }
  return all;
}

function showCounts() {
  const total = adjusted(summary.counts);
  const done = total.image + total.neither;
  const progress = document.querySelector("progress");
  progress.max = Math.max(total.all, 1);
  progress.value = done;
  byId("decided").textContent = `${done} of ${total.all} decided`;
  byId("ledger").textContent = [summary.ledger, summary.person].filter(Boolean).join(" · ");
  const counts = adjusted(found ?? summary.counts);
  const items = Object.entries(FILTERS).map(([show_, label]) => {
    const count = show_ === "decided" ? counts.image + counts.neither : counts[show_];
    const link = make("a", `${label} `, { href: fragment({ show: show_ }) });
    if (show_ === view.show) link.ariaCurrent = "true";
    link.append(make("span", String(count)));
    return make("li").appendChild(link).parentNode;
  });
  const filters = byId("filters");
  const texts = (nodes) => [...nodes].map((item) => item.innerHTML).join();
  if (texts(filters.children) !== texts(items)) filters.replaceChildren(...items);
  actionFor("g").ariaPressed = String(view.grid);
  actionFor("Backspace").ariaDisabled = String(!past.length);
}

// --- Images -------------------------------------------------------------------------------------

function sized(url, size) {
  const full = new URL(url, document.baseURI);
  full.searchParams.set("size", size);
  return full.href;
}

// Build a pair's figures; their images load at once, so a stage that was built ahead is complete.
function stageOf(pair) {
  const built = stages.get(pair.number);
  if (built) return built;
  const figures = SIDES.map((side, index) => figureOf(pair, side, pair.images[index]));
  const stage = figures;
  stages.set(pair.number, stage);
  return stage;
}

function figureOf(pair, side, image) {
  const figure = byId("figure-template").content.cloneNode(true).firstElementChild;
  const button = figure.querySelector(".image");
  const label = side[0].toUpperCase() + side.slice(1);
  figure.querySelector("b").textContent = label;
  const fail = (text) => {
    figure.querySelector(".problem").textContent = text;
    figure.querySelector(".problem").hidden = false;
    figure.classList.add("broken");
    button.hidden = true;
  };
  if (!image || image.problem) {
    fail(image ? image.problem : "There is only one image.");
    return figure;
  }
  figure.dataset.image = image.image;
  const size = image.width ? `${image.width} × ${image.height}` : "";
  figure.querySelector("figcaption .quiet").textContent = size;
  button.ariaLabel = `${label} image${size && `, ${size}`}: zoom`;
  const [large, ...small] = figure.querySelectorAll("img");
  large.addEventListener("error", () => fail("The image could not be loaded."));
  large.src = image.url;
  for (const thumbnail of small) {
    const { width } = thumbnail;
    thumbnail.srcset = `${sized(image.url, width)} 1x, ${sized(image.url, 2 * width)} 2x`;
  }
  return figure;
}

function prefetch() {
  const ahead = list.pairs.slice(list.at + 1, list.at + 1 + AHEAD);
  const kept = new Set(list.pairs.slice(Math.max(list.at - 2, 0), list.at + 1 + AHEAD).map((pair) => pair.number));
  for (const number of stages.keys()) if (!kept.has(number)) stages.delete(number);
  for (const pair of ahead) {
    if (stages.has(pair.number)) continue;
    for (const figure of stageOf(pair)) {
      for (const image of figure.querySelectorAll("img[src], img[srcset]")) image.decode().catch(() => {});
    }
  }
}

// --- Zoom ---------------------------------------------------------------------------------------

const zoom = byId("zoom");
const place = { x: 0.5, y: 0.5, scale: 1 }; // the centre of both views, from 0 to 1

function openZoom() {
  const pair = shown();
  if (!pair) return;
  const panes = [...zoom.querySelectorAll(".pane")];
  for (const [index, pane] of panes.entries()) {
    const image = pair.images[index];
    pane.hidden = !image || Boolean(image.problem);
    if (!pane.hidden) pane.firstElementChild.src = image.url;
  }
  if (panes.every((pane) => pane.hidden)) return;
  showPlace();
  zoom.showModal();
  const fitting = zoom.querySelector(".pane:not([hidden]) img").getBoundingClientRect().width / place.scale;
  const exact = Math.max(...pair.images.map((image) => image.width)) / fitting / devicePixelRatio;
  Object.assign(place, { x: 0.5, y: 0.5, scale: Math.min(Math.max(exact, 1.5), 4) });
  showPlace();
}

function showPlace() {
  place.x = Math.min(Math.max(place.x, 0), 1);
  place.y = Math.min(Math.max(place.y, 0), 1);
  place.scale = Math.min(Math.max(place.scale, 1), 8);
  for (const [name, value] of Object.entries(place)) zoom.style.setProperty(`--${name}`, value);
}

function move(x, y) {
  place.x += x;
  place.y += y;
  showPlace();
}

function scaleBy(steps) {
  place.scale *= ZOOM_STEP ** steps;
  showPlace();
}

const ZOOM_KEYS = {
  ArrowLeft: () => move(-0.1 / place.scale, 0),
  ArrowRight: () => move(0.1 / place.scale, 0),
  ArrowUp: () => move(0, -0.1 / place.scale),
  ArrowDown: () => move(0, 0.1 / place.scale),
  "+": () => scaleBy(1),
  "=": () => scaleBy(1),
  "-": () => scaleBy(-1),
};

zoom.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter" && !event.target.closest("[data-scale]")) {
    event.preventDefault(); // a key that is held since it opened the dialog presses Close otherwise
    if (!event.repeat) zoom.close();
  } else if (Object.hasOwn(ZOOM_KEYS, event.key)) {
    event.preventDefault();
    ZOOM_KEYS[event.key]();
  }
});
zoom.addEventListener("wheel", (event) => {
  event.preventDefault();
  scaleBy(-Math.sign(event.deltaY) / 2);
}, { passive: false });
zoom.addEventListener("click", (event) => {
  const button = event.target.closest("[data-scale]");
  if (button) scaleBy(Number(button.dataset.scale));
});
for (const pane of zoom.querySelectorAll(".pane")) {
  let last = null;
  let moved = 0;
  const side = () => pane.firstElementChild.getBoundingClientRect().width;
  pane.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pane.setPointerCapture(event.pointerId);
    last = event;
    moved = 0;
  });
  pane.addEventListener("pointermove", (event) => {
    if (!last) return;
    const [x, y] = [event.clientX - last.clientX, event.clientY - last.clientY];
    moved += Math.abs(x) + Math.abs(y);
    last = event;
    move(-x / side(), -y / side());
  });
  pane.addEventListener("pointerup", (event) => {
    const box = pane.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    if (last && moved < 4) move(x / side(), y / side());
    last = null;
  });
  pane.addEventListener("pointercancel", () => (last = null));
}

// --- The grid -----------------------------------------------------------------------------------

let cells = { after: 0, more: false, isLoading: false };
const gridEnd = byId("grid-end");
const nearEnd = new IntersectionObserver(
  ([entry]) => entry.isIntersecting && fillGrid(),
  { rootMargin: "800px", scrollMargin: "800px" },
);

function openGrid() {
  page.dataset.view = "grid";
  page.ariaBusy = "false";
  for (const id of ["stage", "empty", "actions", "details"]) byId(id).hidden = true;
  byId("grid").hidden = false;
  byId("position").textContent = "Grid";
  showTitle(view.search ? `“${view.search}”` : FILTERS[view.show], null);
  document.title = `Grid · ${summary.ledger}`;
  byId("grid").querySelector("ol").replaceChildren();
  gridEnd.textContent = "";
  cells = { after: 0, more: true, isLoading: false };
  nearEnd.unobserve(gridEnd);
  nearEnd.observe(gridEnd);
}

async function fillGrid() {
  const mine = cells;
  if (!mine.more || mine.isLoading) return;
  mine.isLoading = true;
  const answer = await persist(pairsUrl(mine.after, 2 * PAGE));
  if (mine !== cells) return;
  found = view.search ? answer.counts : null;
  Object.assign(mine, { more: answer.next !== null, after: answer.next ?? mine.after, isLoading: false });
  const grid = byId("grid").querySelector("ol");
  grid.append(...answer.pairs.map((pair) => cellOf(know(pair))));
  gridEnd.textContent = grid.children.length ? "" : emptiness(adjusted(found ?? summary.counts))[0];
  showCounts();
  nearEnd.unobserve(gridEnd); // it tells only of changes, and the end may still be near
  nearEnd.observe(gridEnd);
}

function cellOf(pair) {
  const cell = byId("cell-template").content.cloneNode(true).firstElementChild;
  const { decision, image: chosen } = pair.choice;
  cell.firstElementChild.href = fragment({ grid: false, pair: pair.number });
  cell.dataset.decision = decision;
  cell.querySelector(".number").textContent = pair.number;
  cell.querySelector(".name").textContent = named(pair);
  const choice = words(pair, pair.choice);
  cell.querySelector(".mark").textContent = choice === "undecided" ? "" : choice.replace(/^the (.*) image$/, "$1");
  for (const image of pair.images.slice(0, 2)) {
    const isChosen = decision === "image" && image.image === chosen;
    const thumbnail = image.problem
      ? make("span", "missing", { className: "missing" })
      : make("img", "", { alt: "", width: 128, height: 128, loading: "lazy", decoding: "async" });
    if (!image.problem) thumbnail.srcset = `${sized(image.url, 128)} 1x, ${sized(image.url, 300)} 2x`;
    thumbnail.classList.toggle("chosen", isChosen);
    cell.querySelector(".thumbs").append(thumbnail);
  }
  return cell;
}

// --- Session, help, search ----------------------------------------------------------------------

let session = null; // while the page waits for a new one

function newSession() {
  session ??= new Promise((resolve) => {
    const dialog = byId("session");
    const form = dialog.querySelector("form");
    const unsaved = saves.size === 1 ? "1 decision is kept until then." : `${saves.size} decisions are kept until then.`;
    byId("session-text").lastElementChild.textContent = saves.size ? unsaved : "";
    byId("session-problem").textContent = "";
    byId("token").value = "";
    form.onsubmit = async (event) => {
      event.preventDefault();
      const problem = byId("session-problem");
      const { token, elsewhere } = readToken(byId("token").value.trim());
      problem.textContent = "";
      if (elsewhere) {
        problem.append("That is another address: ", make("a", "go on there", { href: elsewhere }), ".");
        return;
      }
      try {
        await request("api/session", "POST", { token });
      } catch (error) {
        const isWrong = error.status === 401;
        problem.textContent = isWrong ? "That URL was used already, or is not the newest." : `That did not work: ${error.message}`;
        return;
      }
      dialog.close();
      session = null;
      const { person } = summary;
      await readSummary();
      if (person && person !== summary.person) location.reload(); // what another person left stays stored
      resolve();
    };
    for (const open_ of document.querySelectorAll("dialog[open]")) open_.close();
    dialog.showModal();
  });
  return session;
}

// Return the token in what was pasted, or the address of another page with what is not saved.
function readToken(text) {
  if (!URL.canParse(text)) return { token: text };
  const url = new URL(text);
  const token = url.searchParams.get("token") ?? "";
  if (url.origin === location.origin && url.pathname === location.pathname) return { token };
  if (!/^https?:$/.test(url.protocol)) return { token: "" };
  const values = { ledger: summary.ledger, saves: [...saves] };
  url.hash = saves.size ? new URLSearchParams({ unsaved: JSON.stringify(values) }) : "";
  return { elsewhere: url.href };
}

// Ask before decisions of a fragment are taken: any site can open this page with one.
async function readCarried() {
  const text = new URLSearchParams(location.hash.slice(1)).get("unsaved");
  if (!text) return;
  history.replaceState(null, "", location.pathname);
  let carried;
  try {
    carried = JSON.parse(text);
    if (carried.ledger !== summary.ledger) return;
  } catch {
    return;
  }
  const lines = [];
  for (const [number, save_] of carried.saves) {
    const pair = await persist(`api/pairs/${Number(number)}`).catch(() => null);
    if (pair) lines.push(make("li", `${named(pair)}: ${words(pair, save_)}`));
  }
  if (!lines.length) return;
  const dialog = byId("carried");
  dialog.querySelector("ul").replaceChildren(...lines);
  dialog.showModal();
  const wanted = await new Promise((resolve) => {
    for (const button of dialog.querySelectorAll("button")) button.onclick = () => resolve(button.value === "save");
    dialog.onclose = () => resolve(false);
  });
  dialog.close();
  if (wanted) await adopt(carried.saves);
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
}
byId("session").addEventListener("cancel", (event) => event.preventDefault());

const KEYS_OFF = "suno-review-keys-off";
const useKeys = byId("use-keys");
try {
  useKeys.checked = !localStorage.getItem(KEYS_OFF);
} catch {}

function switchKeys() {
  page.classList.toggle("without-keys", !useKeys.checked);
  try {
    if (useKeys.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  } catch {}
}

useKeys.addEventListener("change", switchKeys);
switchKeys();

const searchField = document.querySelector("#search input");
let typing;
searchField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    history.replaceState(null, "", fragment({ search: searchField.value.trim() }));
    open();
  }, 200);
});
searchField.addEventListener("keydown", (event) => {
  if (event.key === "Enter") focusTitle();
});

// --- Keys and buttons ---------------------------------------------------------------------------

const ACTIONS = {
  ArrowLeft: () => take(0),
  ArrowRight: () => take(1),
  ArrowDown: () => decide({ decision: "neither", image: null }),
  " ": () => decide({ decision: "later", image: null }),
  Backspace: undo,
  Enter: openZoom,
  "/": () => searchField.select(),
  "?": () => byId("help").showModal(),
  g: () => go({ grid: !view.grid }),
};
const CONTROLS = "a, button:not(.image), input, select, summary, textarea";

function isOurs(event) {
  if (!useKeys.checked || document.querySelector("dialog[open]")) return false;
  if (event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && !"/?".includes(event.key))) return false;
  return Object.hasOwn(ACTIONS, event.key) && !event.target.closest?.(CONTROLS);
}

addEventListener("keydown", (event) => {
  if (!isOurs(event)) return;
  event.preventDefault();
  if (!event.repeat) ACTIONS[event.key]();
});
addEventListener("keyup", (event) => {
  if (event.key === " " && isOurs(event)) event.preventDefault(); // it would press the image
});
page.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".image")) openZoom();
  else if (button.dataset.key) ACTIONS[button.dataset.key]();
  else if (button.id === "keep-theirs") keepTheirs();
  else if (button.id === "take-mine") decide(returned.get(shown().number).mine);
  else if (button.parentElement.id === "next-step") await copy(button);
});

async function copy(button) {
  const code = button.previousElementSibling;
  getSelection().selectAllChildren(code); // for the user's own copying, where the page may not copy
  try {
    await navigator.clipboard.writeText(code.textContent);
    say("Copied.");
  } catch {
    say("Selected: copy it with your keyboard.");
  }
}

// --- Start --------------------------------------------------------------------------------------

async function readSummary() {
  const before = savedCount;
  const answer = await persist("api/summary");
  if (before !== savedCount) return; // its counts are older than ours
  const added = (summary.counts.all ?? answer.counts.all) < answer.counts.all;
  summary = answer;
  showCounts();
  if (view.grid && added && !cells.more) say("There are new covers: open the grid again to see them.");
}

async function poll() {
  if (document.visibilityState === "visible" && !session) {
    await readSummary();
    const left = adjusted(summary.counts);
    const isEmpty = !view.grid && !shown() && !list.more && !list.loading;
    if (isEmpty && (view.search || (view.show === "undecided" ? left.undecided : !list.pairs.length))) {
      list = newList(0);
      await show();
    }
  }
  setTimeout(poll, POLL);
}

await readSummary();
await adopt(stored());
await readCarried();
addEventListener("hashchange", open);
await open();
setTimeout(poll, POLL);

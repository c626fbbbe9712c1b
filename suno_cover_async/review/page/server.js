// What the page tells the server, and keeps until the server has it.
//
// It owns requests, the summary, the pairs that were read, and decisions that are not saved yet. It
// knows nothing of what is shown: `events` tells of `change`, `back` (after `offline`), `saved` and
// `refused`.

const PATIENCE = 15_000; // ms until a request counts as failed
const FIRST_PAUSE = 500; // ms before a request is repeated, doubled up to the longest
const LONGEST_PAUSE = 8_000;

export const events = new EventTarget();
export const summary = { ledger: "", person: "", counts: {}, next_step: "" };

// By number: every pair that was read, with the person's own decision where there is one.
export const pairs = new Map();

// By number, in order: {task, title, decision, image, revision, from, sent}. `from` is the decision
// that the server counts. `sent` are decisions that the server may have: their answers were lost.
export const saves = new Map();

export let isOffline = false;

let renewSession = async () => {};
let isSending = false;
let savedCount = 0;

const tell = (kind, detail) => events.dispatchEvent(new CustomEvent(kind, { detail }));

export const same = (one, other) => one.decision === other.decision && one.image === other.image;

// Set the function that is awaited when the server does not know the session.
export function whenSessionEnds(renew) {
  renewSession = renew;
}

// --- Requests -----------------------------------------------------------------------------------

export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered with status ${status}`);
    Object.assign(this, { status, pair: body.pair });
  }
}

// Send one request. Raises Refused, or what `fetch` raises where there is no answer.
export async function request(path, method = "GET", body = undefined) {
  const answer = await fetch(path, {
    method,
    body: body && JSON.stringify(body),
    headers: body ? { "Content-Type": "application/json" } : {},
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

// Repeat a request until it is answered: after a pause, or in a new session. Raises Refused for
// what repeating does not change.
export async function persist(path, method, body) {
  for (let wait = FIRST_PAUSE; ; wait = Math.min(2 * wait, LONGEST_PAUSE)) {
    try {
      const answer = await request(path, method, body);
      setOffline(false);
      return answer;
    } catch (error) {
      if (error.status === 401) await renewSession();
      else if (error.status < 500) {
        setOffline(false);
        throw error;
      } else {
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

function setOffline(value) {
  if (isOffline === value) return;
  isOffline = value;
  tell(value ? "change" : "back");
}

export async function readSummary() {
  const before = savedCount;
  const answer = await persist("api/summary");
  if (before === savedCount) Object.assign(summary, answer); // else its counts are older than ours
  tell("change");
}

// Read a pair; null if there is none.
export async function readPair(number) {
  try {
    return know(await persist(`api/pairs/${Number(number)}`));
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

// Keep one object for each pair, with the person's own decision in it. An answer that was on its
// way while a decision was saved does not undo it.
export function know(pair) {
  const known = pairs.get(pair.number) ?? {};
  const isOlder = known.choice?.revision > pair.choice.revision;
  Object.assign(known, pair, { choice: isOlder ? known.choice : { ...pair.choice } });
  pairs.set(pair.number, known);
  const save = saves.get(pair.number);
  if (save) Object.assign(known.choice, { decision: save.decision, image: save.image });
  return known;
}

// Return counts of the server with the decisions that it does not have yet.
export function adjusted(counts) {
  const all = { all: 0, undecided: 0, image: 0, neither: 0, later: 0, ...counts };
  for (const { from, decision } of saves.values()) {
    all[from] -= 1;
    all[decision] += 1;
  }
  return all;
}

// --- Decisions ----------------------------------------------------------------------------------

// Decide about a pair at once; the server gets it in the background.
export function save(pair, { decision, image }) {
  const { revision, decision: from } = pair.choice;
  const base = { task: pair.music_task_id, title: pair.title, revision, from, sent: [] };
  saves.set(pair.number, { ...(saves.get(pair.number) ?? base), decision, image });
  Object.assign(pair.choice, { decision, image, decided_by: summary.person });
  remember(pair.number);
  send();
}

// Send what is not saved, in order and one at a time.
async function send() {
  if (isSending) return;
  isSending = true;
  try {
    while (saves.size) await sendFirst();
  } finally {
    isSending = false;
  }
}

async function sendFirst() {
  const [number, { decision, image, revision, sent }] = saves.entries().next().value;
  sent.push({ decision, image });
  remember(number);
  let choice;
  try {
    const body = { decision, image, revision };
    choice = await persist(`api/pairs/${number}/choice`, "PUT", body);
  } catch (error) {
    // Where the answer to an earlier request was lost, the decision that stands may be our own.
    const there = error.pair?.choice;
    if (!there || !sent.some((lost) => same(lost, there))) {
      await refuse(number, error);
      return;
    }
    choice = there;
  }
  settle(number, choice);
}

function settle(number, choice) {
  const entry = saves.get(number);
  summary.counts[entry.from] -= 1;
  summary.counts[choice.decision] += 1;
  savedCount += 1;
  if (same(entry, choice)) saves.delete(number);
  else saves.set(number, { ...entry, revision: choice.revision, from: choice.decision, sent: [] });
  pairs.get(number).choice.revision = choice.revision;
  remember(number);
  tell("saved", { from: entry.from, to: choice.decision });
}

async function refuse(number, error) {
  const { decision, image, title } = saves.get(number);
  saves.delete(number);
  remember(number);
  const pair = error.pair ? know(error.pair) : await readPair(number);
  const isConflict = error.status === 409;
  tell("refused", { pair, title, reason: error.message, isConflict, mine: { decision, image } });
}

// --- Decisions that outlast the page ------------------------------------------------------------

const keyOf = (number) =>
  JSON.stringify(["suno-review", location.pathname, summary.ledger, summary.person, number]);

function remember(number) {
  const entry = saves.get(number);
  try {
    if (entry) localStorage.setItem(keyOf(number), JSON.stringify(entry));
    else localStorage.removeItem(keyOf(number));
  } catch {} // storage is full or switched off: the decision lasts as long as the page
  tell("change");
}

// Return what an earlier page of this person and ledger left, as entries of `saves`.
export function stored() {
  const found = [];
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith('["suno-review",')) continue;
      const number = JSON.parse(key).at(-1);
      if (key === keyOf(number)) found.push([number, JSON.parse(localStorage.getItem(key))]);
    }
  } catch {}
  return found;
}

// Save decisions that were made elsewhere. Another ledger may have the same name, so they must name
// the song that has this number here.
export async function adopt(entries) {
  for (const [number, { task, title, decision, image, revision, sent = [] }] of entries) {
    const pair = await readPair(number);
    if (pair?.music_task_id !== task || saves.has(pair.number)) continue;
    const from = pair.choice.decision;
    saves.set(pair.number, { task, title, decision, image, revision, from, sent });
    know(pair);
    remember(pair.number);
  }
  send();
}

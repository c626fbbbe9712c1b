// The dialogs about who the page speaks for: a session that ended, and decisions brought along from
// the page at another address.

import { adopt, readPair, readSummary, request, saves, summary } from "./server.js";

const dialog = document.getElementById("session");
const field = document.getElementById("token");
const problem = document.getElementById("session-problem");
const carried = document.getElementById("carried");

let waiting = null; // what the page waits for while the dialog is open

export const isWaiting = () => waiting !== null;

// Ask for a new URL, and return once the server knows its session.
export function newSession() {
  waiting ??= new Promise((resolve) => {
    for (const other of document.querySelectorAll("dialog[open]")) other.close();
    const count = saves.size === 1 ? "1 decision is" : `${saves.size} decisions are`;
    const kept = saves.size ? `${count} kept until then.` : "";
    document.getElementById("session-kept").textContent = kept;
    problem.textContent = "";
    field.value = "";
    dialog.showModal();
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      if (await enter(field.value.trim())) resolve();
    };
  });
  return waiting;
}

dialog.addEventListener("cancel", (event) => event.preventDefault());

async function enter(text) {
  const { token, elsewhere } = readUrl(text);
  problem.textContent = "";
  if (elsewhere) {
    const link = Object.assign(document.createElement("a"), { href: elsewhere });
    link.textContent = new URL(elsewhere).origin;
    problem.append("That is the page at another address. Go on there: ", link);
    return false;
  }
  try {
    await request("api/session", "POST", { token });
  } catch (error) {
    const isWrong = error.status === 401;
    problem.textContent = isWrong
      ? "That URL was used already, or is not the newest one."
      : `That did not work: ${error.message}`;
    return false;
  }
  dialog.close();
  waiting = null;
  const { person } = summary;
  await readSummary();
  if (!person || person === summary.person) return true;
  location.reload(); // nothing goes on here: what one person left unsaved stays stored for that one
  return false;
}

// Return the token in what was pasted, or the URL of another address with what is not saved.
function readUrl(text) {
  if (!URL.canParse(text)) return { token: text };
  const url = new URL(text);
  const isHere = url.origin === location.origin && url.pathname === location.pathname;
  if (isHere || !/^https?:$/.test(url.protocol)) {
    return { token: url.searchParams.get("token") ?? "" };
  }
  const unsaved = JSON.stringify({ ledger: summary.ledger, saves: [...saves] });
  url.hash = saves.size ? new URLSearchParams({ unsaved }) : "";
  return { elsewhere: url.href };
}

// Take the decisions in the URL's fragment, if the person wants them: any site can open this page
// with a fragment of its own, so they are never taken without asking.
export async function readCarried(describe) {
  const text = new URLSearchParams(location.hash.slice(1)).get("unsaved");
  if (!text) return;
  history.replaceState(null, "", location.pathname);
  const entries = parsed(text);
  const lines = [];
  for (const [number, entry] of entries) {
    const pair = await readPair(number);
    if (pair?.music_task_id !== entry.task) continue;
    const line = document.createElement("li");
    line.textContent = describe(pair, entry);
    lines.push(line);
  }
  if (!lines.length) return;
  carried.querySelector("ul").replaceChildren(...lines);
  carried.showModal();
  await new Promise((resolve) => (carried.onclose = resolve));
  if (carried.returnValue === "save") await adopt(entries);
}

function parsed(text) {
  try {
    const { ledger, saves: entries } = JSON.parse(text);
    return ledger === summary.ledger && Array.isArray(entries) ? entries : [];
  } catch {
    return [];
  }
}

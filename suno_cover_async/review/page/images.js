// A pair's two figures, built and decoded before they are shown, and both images zoomed together.

const SIDES = ["Left", "Right"];
const AHEAD = 4; // pairs that are fetched before they are shown
const ZOOM_STEP = 1.5;
const LARGEST = 8;
const PAN = 0.1; // of the view, for each press of an arrow key

const template = document.getElementById("figure-template");
const zoom = document.getElementById("zoom");
const stages = new Map(); // by number: the figures of a pair, whose images load at once
const center = { x: 0.5, y: 0.5, scale: 1 }; // of both views: 0 to 1, and times the fitting size

// The two images that are shown of a pair, which may have more.
export const sidesOf = (pair) => pair.images.slice(pair.first ?? 0, (pair.first ?? 0) + 2);

// --- Figures ------------------------------------------------------------------------------------

export function sized(url, size) {
  const full = new URL(url, document.baseURI);
  full.searchParams.set("size", size);
  return full.href;
}

// Return a pair's figures; those that were prefetched are complete.
export function figuresOf(pair) {
  const first = pair.first ?? 0;
  const built = stages.get(pair.number);
  if (built?.first === first) return built.figures;
  const figures = SIDES.map((side, index) => figureOf(side, sidesOf(pair)[index]));
  stages.set(pair.number, { first, figures });
  return figures;
}

// Build figures anew when they are shown again.
export const forget = (number) => (number === undefined ? stages.clear() : stages.delete(number));

function figureOf(side, image) {
  // A clone would belong to the template's own document, which loads no images.
  const figure = document.importNode(template.content, true).firstElementChild;
  figure.querySelector("b").textContent = side;
  if (!image || image.problem) {
    fail(figure, image?.problem ?? "there is only one image");
    return figure;
  }
  figure.dataset.image = image.image;
  const size = image.width ? `${image.width} × ${image.height}` : "";
  figure.querySelector("figcaption .quiet").textContent = size;
  figure.querySelector(".image").ariaLabel = `${side} image${size && `, ${size}`}: zoom`;
  const [large, ...small] = figure.querySelectorAll("img");
  large.addEventListener("error", () => fail(figure, "the image could not be loaded"));
  large.src = image.url;
  for (const thumbnail of small) {
    const { width } = thumbnail;
    thumbnail.srcset = `${sized(image.url, width)} 1x, ${sized(image.url, 2 * width)} 2x`;
  }
  return figure;
}

function fail(figure, text) {
  figure.classList.add("broken");
  figure.querySelector(".image").hidden = true;
  figure.querySelector(".problem").hidden = false;
  figure.querySelector(".problem").textContent = `${text[0].toUpperCase()}${text.slice(1)}`;
}

// Load and decode the images of the pairs after the one shown, and drop those long passed.
export function prefetch(pairs, at) {
  const near = pairs.slice(Math.max(at - 2, 0), at + 1 + AHEAD);
  const kept = new Set(near.map((pair) => pair.number));
  for (const number of stages.keys()) if (!kept.has(number)) stages.delete(number);
  for (const pair of pairs.slice(at + 1, at + 1 + AHEAD)) {
    if (stages.has(pair.number)) continue;
    for (const figure of figuresOf(pair)) {
      for (const image of figure.querySelectorAll("img:is([src], [srcset])")) {
        image.decode().catch(() => {}); // a figure shows by itself that an image is missing
      }
    }
  }
}

// --- Zoom ---------------------------------------------------------------------------------------

export function openZoom(pair) {
  const panes = [...zoom.querySelectorAll(".pane")];
  for (const [index, pane] of panes.entries()) {
    const image = sidesOf(pair)[index];
    pane.hidden = !image || Boolean(image.problem);
    if (!pane.hidden) pane.firstElementChild.src = image.url;
  }
  const shown = panes.find((pane) => !pane.hidden);
  if (!shown) return;
  zoom.showModal();
  // One pixel of the larger image for one of the screen, where that enlarges it.
  const fitting = Math.min(shown.clientWidth, shown.clientHeight) * devicePixelRatio;
  const exact = Math.max(...sidesOf(pair).map((image) => image.width)) / fitting;
  Object.assign(center, { x: 0.5, y: 0.5, scale: Math.max(exact, ZOOM_STEP) });
  place();
}

const clamped = (value, low, high) => Math.min(Math.max(value, low), high);

function place() {
  center.x = clamped(center.x, 0, 1);
  center.y = clamped(center.y, 0, 1);
  center.scale = clamped(center.scale, 1, LARGEST);
  for (const [name, value] of Object.entries(center)) zoom.style.setProperty(`--${name}`, value);
}

function move(x, y) {
  center.x += x;
  center.y += y;
  place();
}

function scaleBy(steps) {
  center.scale *= ZOOM_STEP ** steps;
  place();
}

const ZOOM_KEYS = {
  ArrowLeft: () => move(-PAN / center.scale, 0),
  ArrowRight: () => move(PAN / center.scale, 0),
  ArrowUp: () => move(0, -PAN / center.scale),
  ArrowDown: () => move(0, PAN / center.scale),
  "+": () => scaleBy(1),
  "=": () => scaleBy(1), // the key of + without shift
  "-": () => scaleBy(-1),
};

zoom.addEventListener("keydown", (event) => {
  if (!zoom.open || event.ctrlKey || event.altKey || event.metaKey) return; // closed just now
  if (event.key === "Enter" && !event.target.closest("[data-scale]")) {
    event.preventDefault(); // else a key held since it opened the dialog would press Close
    if (!event.repeat) zoom.close();
  } else if (Object.hasOwn(ZOOM_KEYS, event.key)) {
    event.preventDefault();
    ZOOM_KEYS[event.key]();
  }
});

zoom.addEventListener("click", (event) => {
  const button = event.target.closest("[data-scale]");
  if (button) scaleBy(Number(button.dataset.scale));
});

const onWheel = (event) => {
  event.preventDefault();
  scaleBy(-Math.sign(event.deltaY) / 2);
};
zoom.addEventListener("wheel", onWheel, { passive: false });

// A drag moves both; a click, which needs no drag, centers both there.
for (const pane of zoom.querySelectorAll(".pane")) {
  const side = () => pane.firstElementChild.getBoundingClientRect().width;
  let last = null;
  let moved = 0;
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
    const x = event.clientX - box.left - box.width / 2;
    const y = event.clientY - box.top - box.height / 2;
    if (last && moved < 4) move(x / side(), y / side());
    last = null;
  });
  pane.addEventListener("pointercancel", () => (last = null));
}

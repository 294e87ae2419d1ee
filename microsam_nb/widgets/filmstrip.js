// Small pictures of all images of a series, of which only those in sight exist.
//
// To Python: do {command, at}   jump {place, at}   want {places}; `at` is the image that was open then.
// From Python: leaving {text}, then opened {} or staying {}   pictures {places} with one JPEG each; see filmstrip.py for
// the traits.

const WIDTH = 92, HEIGHT = 78; // CSS pixels of a cell
const KINDS = {
  u: ["untouched", "", ""], b: ["started", "fa-pencil", "begun"], d: ["done", "fa-check", "done"],
  s: ["skipped", "fa-step-forward", "skipped"], l: ["locked: somebody else is at work", "fa-lock", "closed"],
  m: ["missing", "fa-question", "closed"], x: ["cannot be read", "fa-exclamation", "closed"],
};
// The picture is lower than elsewhere, so that strip, tools and image are in sight together.
const STYLE = `
.msam-series .msam-canvas { max-height: max(320px, 50vh) !important; }
.msam-series-stage { position: relative; }
.msam-series-veil { position: absolute; inset: 0; z-index: 20; cursor: progress; display: flex; justify-content: center;
  align-items: flex-start; background: rgba(0, 0, 0, 0.35); }
.msam-series-veil span { position: sticky; top: 0; margin: 120px 12px 0; padding: 6px 14px; border-radius: 4px;
  overflow-wrap: anywhere; color: #fff; background: rgba(0, 0, 0, 0.75); }
.msam-filmstrip { width: 100%; min-width: 0; color: var(--msam-text, #222); margin: 0 0 4px; display: block;
  font-size: var(--jp-ui-font-size1, 13px); }
.msam-filmstrip .head { display: flex; flex-flow: row wrap; gap: 2px 10px; align-items: center; min-height: 30px; }
.msam-filmstrip .keys { display: flex; gap: 2px; }
.msam-filmstrip .count { white-space: nowrap; font-variant-numeric: tabular-nums; }
.msam-filmstrip .track { width: 110px; height: 6px; border-radius: 3px; overflow: hidden; display: flex;
  background: var(--msam-raised, #eee); border: 1px solid var(--msam-line, #ccc); }
.msam-filmstrip .track .done { background: #2e9e4f; }
.msam-filmstrip .track .skipped { background: #8a8a8a; }
.msam-filmstrip .about { flex: 1 1 120px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; font-weight: 600; }
.msam-filmstrip .notice { min-height: 1.4em; line-height: 1.4; overflow-wrap: anywhere; color: var(--msam-faint, #666); }
.msam-filmstrip .notice.error { color: var(--msam-error, #c62828); }
.msam-filmstrip .strip { position: relative; height: ${HEIGHT + 8}px; overflow: auto hidden; scrollbar-width: thin; outline-offset: -2px; }
.msam-filmstrip .strip:focus-visible { outline: 2px solid var(--msam-brand, #1976d2); }
.msam-filmstrip .cell { position: absolute; top: 0; width: ${WIDTH - 6}px; height: ${HEIGHT - 4}px; cursor: pointer;
  border: 2px solid transparent; border-radius: 4px; overflow: hidden; background: var(--msam-raised, #eee); }
.msam-filmstrip .cell img { display: block; width: 100%; height: 54px; object-fit: cover; background: #000; }
.msam-filmstrip .cell img:not([src]) { visibility: hidden; }
.msam-filmstrip .cell .name { display: block; font-size: 11px; line-height: 15px; padding: 0 3px; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; direction: rtl; text-align: center; }
.msam-filmstrip .cell .name bdi { unicode-bidi: isolate; direction: ltr; }
.msam-filmstrip .cell .mark { position: absolute; top: 2px; right: 2px; width: 17px; height: 17px; border-radius: 9px;
  font-size: 10px; line-height: 17px; text-align: center; color: #fff; background: #1565c0; }
.msam-filmstrip .cell .mark:empty { display: none; }
.msam-filmstrip .cell.done .mark { background: #1b7a3a; }
.msam-filmstrip .cell.skipped .mark { background: #666; }
.msam-filmstrip .cell.closed .mark { background: #b3261e; }
.msam-filmstrip .cell .objects { position: absolute; left: 2px; top: 38px; padding: 0 4px; border-radius: 3px;
  font-size: 10px; line-height: 14px; color: #fff; background: rgba(0, 0, 0, 0.65); }
.msam-filmstrip .cell .objects:empty { display: none; }
.msam-filmstrip .cell.closed img { opacity: 0.35; }
.msam-filmstrip .cell.skipped img { opacity: 0.55; }
.msam-filmstrip .cell:hover { border-color: var(--msam-faint, #666); }
.msam-filmstrip .cell.open { border-color: var(--msam-brand, #1976d2); }
.msam-filmstrip .strip:focus-visible .cell.cursor { outline: 2px dashed var(--msam-text, #222); outline-offset: -4px; }
`;

let strips = 0;

function render({ model, el }) {
  el.classList.add("msam-filmstrip");
  const make = (tag, name, parent) => {
    const one = document.createElement(tag);
    if (name) one.className = name;
    parent.appendChild(one);
    return one;
  };
  make("style", "", el).textContent = STYLE;
  const ask = (message) => model.send({ ...message, at: model.get("at") });
  const head = make("div", "head", el);
  const keys = make("div", "keys", head);
  for (const { command, icon, text, title } of model.get("buttons")) {
    const button = make("button", `jupyter-button widget-button msam-button msam-worded msam-${command}`, keys);
    make("i", `fa fa-${icon}`, button);
    button.append(text);
    button.title = title;
    button.onclick = () => ask({ kind: "do", command });
  }
  const count = make("span", "count", head);
  const track = make("div", "track", head);
  const bars = ["done", "skipped"].map((name) => make("div", name, track));
  const about = make("span", "about", head);
  // A line of its own: a sentence that comes or goes must not move the image.
  const notice = make("div", "notice", el);
  notice.setAttribute("role", "status");
  const strip = make("div", "strip", el);
  const id = `msam-strip-${++strips}`;
  strip.tabIndex = 0;
  strip.setAttribute("role", "listbox");
  strip.setAttribute("aria-label", "Images of the series");
  const floor = make("div", "", strip);
  floor.style.height = "1px";
  const body = make("div", "", strip);

  let cursor = Math.max(0, model.get("at"));
  const pictures = new Map(); // place -> address of the picture, "" while it is on its way
  const cells = new Map();

  function range() {
    const last = Math.ceil((strip.scrollLeft + strip.clientWidth) / WIDTH) + 2;
    return [Math.max(0, Math.floor(strip.scrollLeft / WIDTH) - 2), Math.min(model.get("names").length, last)];
  }
  function fill(cell, place) {
    const [words, icon, kind] = KINDS[model.get("marks")[place] ?? "u"];
    const name = model.get("names")[place], objects = model.get("counts")[place] ?? 0;
    const open = place === model.get("at");
    cell.className = `cell ${kind}${open ? " open" : ""}${place === cursor ? " cursor" : ""}`;
    const problem = model.get("problems")[place];
    const told = objects || kind === "done" ? `, ${objects} object${objects === 1 ? "" : "s"}` : "";
    const spent = model.get("times")[place] ?? "0:00";
    cell.title = `${name}: ${problem ?? words + told + (spent === "0:00" ? "" : `, ${spent}`)}`;
    cell.setAttribute("aria-label", cell.title);
    cell.setAttribute("aria-selected", String(open));
    cell.querySelector(".mark").innerHTML = icon ? `<i class="fa ${icon}"></i>` : "";
    cell.querySelector(".objects").textContent = objects || kind === "done" ? objects : "";
    const picture = cell.querySelector("img");
    if (pictures.get(place)) picture.src = pictures.get(place);
  }
  function draw() {
    const names = model.get("names");
    floor.style.width = `${names.length * WIDTH}px`;
    const [first, last] = range();
    for (const [place, cell] of cells) if (place < first || place >= last) { cell.remove(); cells.delete(place); }
    const wanted = [];
    for (let place = first; place < last; place++) {
      let cell = cells.get(place);
      if (!cell) {
        cell = make("div", "cell", body);
        cell.style.left = `${place * WIDTH}px`;
        cell.id = `${id}-${place}`;
        cell.dataset.place = place;
        cell.setAttribute("role", "option");
        make("img", "", cell).alt = "";
        make("span", "mark", cell);
        make("span", "objects", cell);
        make("bdi", "", make("span", "name", cell)).textContent = names[place];
        cells.set(place, cell);
      }
      if (!pictures.has(place)) { pictures.set(place, ""); wanted.push(place); }
      fill(cell, place);
    }
    if (wanted.length) model.send({ kind: "want", places: wanted });
    strip.setAttribute("aria-activedescendant", `${id}-${cursor}`);
  }
  function reveal(place) {
    const left = place * WIDTH;
    if (left < strip.scrollLeft + WIDTH || left + 2 * WIDTH > strip.scrollLeft + strip.clientWidth) {
      strip.scrollLeft = Math.max(0, left - strip.clientWidth / 2 + WIDTH / 2);
    }
  }
  function tell() {
    const [done, skipped, all, unread] = model.get("progress");
    const rest = [skipped ? `, ${skipped} skipped` : "", unread ? `, ${unread} cannot be read` : ""];
    count.textContent = `${done} of ${all - unread} done${rest.join("")}`;
    bars[0].style.width = `${(100 * done) / Math.max(1, all - unread)}%`;
    bars[1].style.width = `${(100 * skipped) / Math.max(1, all - unread)}%`;
    // While the picture of the new image is on its way the title says so: both change together.
    if (waiting) return;
    about.textContent = model.get("about");
    about.title = model.get("about");
    const [text, error] = model.get("notice");
    notice.textContent = text;
    notice.classList.toggle("error", error);
  }

  // ---- Keys: none reaches the notebook while anything in the strip has the focus. ----
  function move(place) {
    cursor = Math.min(model.get("names").length - 1, Math.max(0, place));
    reveal(cursor);
    draw();
  }
  const ways = { ArrowLeft: () => cursor - 1, ArrowRight: () => cursor + 1, Home: () => 0, End: () => 1e9 };
  const strike = (e) => {
    if (e.key === "Tab") return;
    e.stopPropagation();
    if (e.ctrlKey || e.metaKey || e.altKey) { if (["s", "Enter"].includes(e.key)) e.preventDefault(); return; }
    const letter = e.key.length === 1 ? e.key.toUpperCase() : e.key;
    const meant = model.get("buttons").find(({ key }) => key === (e.shiftKey && /[A-Z]/.test(letter) ? `Shift-${letter}` : letter));
    if (e.target === strip && ways[e.key]) move(ways[e.key]());
    else if (e.target === strip && (e.key === "Enter" || e.key === " ")) ask({ kind: "jump", place: cursor });
    else if (meant && !waiting) { if (!e.repeat) ask({ kind: "do", command: meant.command }); }
    else if (e.key === "Escape") canvasOf()?.focus({ preventScroll: true });
    else return;
    e.preventDefault();
  };
  el.addEventListener("keydown", strike);
  for (const kind of ["keypress", "keyup"]) el.addEventListener(kind, (e) => e.stopPropagation());
  el.addEventListener("focusin", (e) => e.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  body.addEventListener("click", (e) => {
    const cell = e.target.closest(".cell");
    if (cell) { cursor = Number(cell.dataset.place); ask({ kind: "jump", place: cursor }); draw(); }
  });
  let due = 0;
  strip.addEventListener("scroll", () => { due ||= requestAnimationFrame(() => { due = 0; draw(); }); });
  strip.addEventListener("wheel", (e) => {
    if (!e.deltaY || e.shiftKey) return;
    strip.scrollLeft += e.deltaY;
    e.preventDefault();
  }, { passive: false });

  // ---- The image changes: until the new one is painted, a veil takes what the pointer does, the strip the keys. ----
  const root = () => el.closest(".msam-series") ?? el;
  const stageOf = () => root().querySelector(".msam-series-stage");
  const canvasOf = () => root().querySelector(".msam-canvas canvas");
  const painted = (canvas) => !!canvas.parentElement.querySelector("canvas.msam-overlay")?.dataset.view;
  let waiting = null; // {old: the canvas that goes away, ours: whether the focus was with us, veil}
  let timer = 0;
  function leave(text) {
    clearInterval(timer);
    const ours = root().contains(document.activeElement);
    const stage = stageOf();
    const veil = waiting?.veil ?? (stage ? make("div", "msam-series-veil", stage) : null);
    if (veil) {
      if (!veil.firstChild) make("span", "", veil);
      veil.firstChild.textContent = text;
      // What lies below must not jump while there is no picture.
      stage.style.minHeight = `${stage.offsetHeight}px`;
    }
    waiting = { old: waiting?.old ?? canvasOf(), ours: ours || !!waiting?.ours, veil };
    about.textContent = about.title = text;
    notice.textContent = "";
    if (ours) strip.focus({ preventScroll: true });
  }
  function end() {
    clearInterval(timer);
    waiting?.veil?.remove();
    const stage = stageOf();
    if (stage) stage.style.minHeight = "";
    waiting = null;
    tell();
  }
  function stay() {
    const ours = waiting?.ours;
    end();
    if (ours && document.activeElement === strip) canvasOf()?.focus({ preventScroll: true });
  }
  function arrive() {
    clearInterval(timer);
    if (!waiting) return;
    const { old, ours } = waiting;
    const begun = Date.now();
    timer = setInterval(() => {
      const canvas = canvasOf();
      const there = canvas && canvas !== old;
      const elsewhere = document.activeElement !== document.body && !el.contains(document.activeElement);
      if (there && ours && !elsewhere) canvas.focus({ preventScroll: true });
      const focussed = !ours || elsewhere || document.activeElement === canvas;
      if ((there && painted(canvas) && focussed) || Date.now() - begun > 10000) end();
    }, 30);
  }

  const hear = (message, buffers) => {
    if (message.kind === "leaving") leave(message.text);
    else if (message.kind === "opened") arrive();
    else if (message.kind === "staying") stay();
    else if (message.kind === "pictures") {
      message.places.forEach((place, i) => {
        if (!buffers[i].byteLength) return;
        const old = pictures.get(place);
        if (old) URL.revokeObjectURL(old);
        pictures.set(place, URL.createObjectURL(new Blob([buffers[i]], { type: "image/jpeg" })));
      });
      draw();
    }
  };
  const follow = () => move(model.get("at"));
  const ears = {
    "msg:custom": hear, "change:at": follow, "change:names change:marks change:counts change:times change:problems": draw,
    "change:progress change:about change:notice": tell,
  };
  for (const [what, ear] of Object.entries(ears)) model.on(what, ear);
  const sized = new ResizeObserver(() => draw());
  sized.observe(strip);
  tell();
  setTimeout(() => { reveal(cursor); draw(); }, 0);
  return () => {
    end();
    for (const [what, ear] of Object.entries(ears)) model.off(what, ear);
    sized.disconnect();
    for (const one of pictures.values()) if (one) URL.revokeObjectURL(one);
  };
}

export default { render };

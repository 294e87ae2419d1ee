// Pointer, keys, local preview and focus guard on an ipycanvas MultiCanvas.
//
// Every gesture is drawn here at once and sent as one message when it ends; hovering sends nothing. What was sent stays
// drawn until a picture comes that has it (or its refusal) in it. Coordinates are those of the image.
//
// To Python:
//   ready/size {width, height, density}                CSS pixels, and device pixels per CSS pixel
//   view    {number, y, x, zoom}                       counted on its own
//   click   {y, x}      drag {y0, x0, y1, x1}          box, ellipse
//   stroke  {points: [y, x, y, x ...], width}          scribble, brush, eraser, split, choose
//   outline {points}                                   polygon, lasso, delete-inside
//   parts   {points}                                   one in each part of an object
//   shift   {prompt, part, dy, dx}      removal {prompt}      a prompt as in the trait "prompts"
//   key     {key, ctrl, shift}
//   plane   {plane}                                    the wheel with Shift or Alt; only the newest counts
//   pressed {}                                         right after a button's own message: when it is done, so is the button
// All have screen and time (ms); gestures, keys and buttons a number, also tool, positive, plane, button, shift, ctrl, alt.
//
// From Python: view {answers, done, y, x, zoom, width, height, rows, columns, plane, closest, farthest} is what the next
// picture shows; answers[screen] and done[screen] are the last view and the last gesture that it takes into account.
// zoom is canvas pixels per image pixel. Traits: tool, positive, brush, prompts, shortcuts, planes.

const REACH = 4; // CSS pixels between press and release of a click
const PAUSE = 70; // ms between two view messages while the view moves
const TURN = 30; // ms between two plane messages while the wheel turns
const NOTCH = 40; // CSS pixels of a touch pad's wheel that are one plane; a mouse's wheel sends more at once
const TWICE = 350; // ms between the clicks of a double click
const OLD = 5000; // ms after which a preview goes although no picture has answered it
const SLOW = 1500; // ms without an answer after which the user is told
const MOST = 400; // vertices of a stroke
const GREEN = "#00e640", RED = "#ff3030", YELLOW = "#ffff00", WHITE = "#ffffff";
const STOPPED = ["mousedown", "mouseup", "mousemove", "mouseout", "mouseleave", "touchstart", "touchmove", "touchend", "touchcancel"];

const DRAWN = { lasso: "outline", scribble: "stroke", brush: "stroke", eraser: "stroke", split: "stroke", choose: "stroke", "delete-inside": "outline", classify: "stroke" };
const SPANNED = ["box", "ellipse"];
const CLICKED = ["polygon", "parts"]; // clicked several times before Enter ends them
const BOTH_BUTTONS = ["scribble", "brush", "eraser", "choose", "classify"]; // draw with the right button too
const PROMPTING = ["point", "box", "ellipse", "polygon", "lasso", "scribble"]; // whose right click removes a prompt
const HOLDS = { point: ["point", "box", "ellipse", "polygon", "line"], box: ["box"], ellipse: ["ellipse"] }; // what a drag takes
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Canvas elements that have their layer. The hidden widget has as many views as the annotator; each canvas needs one.
const attached = new WeakSet();

// ---- Lines ----------------------------------------------------------------------------------------------------------

function toSegment(p, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const long = dx * dx + dy * dy;
  const t = long ? Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / long)) : 0;
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

// Douglas and Peucker, without recursion: a long scribble must not fill the stack.
function simplify(points, slack) {
  if (points.length < 3) return points;
  const kept = new Uint8Array(points.length);
  kept[0] = kept[points.length - 1] = 1;
  const open = [[0, points.length - 1]];
  while (open.length) {
    const [from, to] = open.pop();
    let far = slack, at = 0;
    for (let i = from + 1; i < to; i++) {
      const d = toSegment(points[i], points[from], points[to]);
      if (d > far) [far, at] = [d, i];
    }
    if (at) {
      kept[at] = 1;
      open.push([from, at], [at, to]);
    }
  }
  return points.filter((_, i) => kept[i]);
}

// A line as it travels: exact to a third of a screen pixel, a few kB at most.
function flat(points, slack) {
  let thin = simplify(points, slack);
  for (; thin.length > MOST; slack *= 1.5) thin = simplify(points, slack * 1.5);
  return thin.flatMap(([x, y]) => [round(y), round(x)]);
}
const round = (value) => Math.round(value * 100) / 100;

// ---- The visible part of the image ------------------------------------------------------------------------------------

// `base` is what the picture shows, `live` what is to be seen. Places on the screen count from the corner of the box, in
// CSS pixels; the picture lies in its middle, in its own shape. It has another than the box while a change of size is on
// its way, and where two views of different size share it.
function makeSight(canvas, tell) {
  const sight = { base: null, live: null, coming: null, box: [1, 1], left: 0, top: 0, width: 1, height: 1 };
  // CSS pixels per canvas pixel.
  const across = () => sight.width / sight.base.width;
  const down = () => sight.height / sight.base.height;
  sight.scale = () => sight.live.zoom * across(); // CSS pixels per image pixel
  sight.toImage = ([u, v]) => {
    const { live, left, top } = sight;
    return [live.x + (u - left) / (live.zoom * across()), live.y + (v - top) / (live.zoom * down())];
  };
  sight.toScreen = ([x, y]) => {
    const { live, left, top } = sight;
    return [left + (x - live.x) * live.zoom * across(), top + (y - live.y) * live.zoom * down()];
  };
  sight.fit = () => {
    const [width, height] = sight.box;
    const { base } = sight;
    const scale = base ? Math.min(width / base.width, height / base.height) : 0;
    // Rounding alone makes no band.
    const whole = !base || (Math.abs(width - base.width * scale) < 1.5 && Math.abs(height - base.height * scale) < 1.5);
    [sight.width, sight.height] = whole ? [width, height] : [base.width * scale, base.height * scale];
    [sight.left, sight.top] = [(width - sight.width) / 2, (height - sight.height) / 2];
    for (const side of ["left", "top", "width", "height"]) canvas.style[side] = `${sight[side]}px`;
  };
  // Take over what the newest picture shows. With `keep` what is to be seen stays where it is on the screen.
  sight.take = (base, keep) => {
    const before = keep && sight.live ? { corner: sight.toImage([0, 0]), scale: sight.scale() } : null;
    sight.base = base;
    sight.fit();
    if (!before) { sight.settle(); return; }
    const [x, y] = before.corner;
    sight.live = { x: x + sight.left / before.scale, y: y + sight.top / before.scale, zoom: before.scale / across() };
  };
  sight.settle = () => { sight.live = { y: sight.base.y, x: sight.base.x, zoom: sight.base.zoom }; };
  sight.preview = () => {
    const { base, live } = sight;
    if (!base) return;
    const scale = live.zoom / base.zoom;
    const still = Math.abs(scale - 1) < 1e-9 && live.x === base.x && live.y === base.y;
    const right = (base.x - live.x) * live.zoom * across();
    const below = (base.y - live.y) * live.zoom * down();
    const wanted = still ? "" : `translate(${right}px, ${below}px) scale(${scale})`;
    if (canvas.style.transform !== wanted) canvas.style.transform = wanted;
  };
  // The middle of the screen stays within the image, as in Python.
  const bound = () => {
    const { base, live } = sight;
    const [w, h] = [base.width / live.zoom / 2, base.height / live.zoom / 2];
    live.x = Math.max(0, Math.min(base.columns, live.x + w)) - w;
    live.y = Math.max(0, Math.min(base.rows, live.y + h)) - h;
    tell();
  };
  sight.pan = (right, below) => {
    sight.live.x -= right / (sight.live.zoom * across());
    sight.live.y -= below / (sight.live.zoom * down());
    bound();
  };
  sight.zoom = (factor, at, to = at) => {
    const { base, live } = sight;
    const [x, y] = sight.toImage(at);
    live.zoom = Math.max(base.farthest, Math.min(base.closest, live.zoom * factor));
    live.x = x - (to[0] - sight.left) / (live.zoom * across());
    live.y = y - (to[1] - sight.top) / (live.zoom * down());
    bound();
  };
  return sight;
}

// ---- Prompts that can be held -----------------------------------------------------------------------------------------

// The trait's [index, kind, positive, y, x, y, x ...] with points as [x, y].
function readPrompt(plain) {
  const [, kind, positive, ...at] = plain;
  const points = [];
  for (let i = 0; i < at.length; i += 2) points.push([at[i + 1], at[i]]);
  return { plain, kind, positive, points };
}

// What of a prompt can be taken singly: corners 0 to 3 of a box clockwise, sides 4 to 7 of an ellipse, corners of a polygon.
function grips({ kind, points }) {
  if (kind === "polygon") return points.map((p, i) => [i, p]);
  if (kind !== "box" && kind !== "ellipse") return [];
  const [[x0, y0], [x1, y1]] = points;
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  if (kind === "box") return [[0, [x0, y0]], [1, [x1, y0]], [2, [x1, y1]], [3, [x0, y1]]];
  return [[4, [x, y0]], [5, [x1, y]], [6, [x, y1]], [7, [x0, y]]];
}

function rim({ kind, points }) {
  if (kind === "point" || kind === "line") return points;
  if (kind === "polygon") return [...points, points[0]];
  const [[x0, y0], [x1, y1]] = points;
  if (kind === "box") return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]];
  const turn = Array.from({ length: 49 }, (_, i) => (i * Math.PI) / 24);
  return turn.map((t) => [(x0 + x1) / 2 + ((x1 - x0) / 2) * Math.cos(t), (y0 + y1) / 2 + ((y1 - y0) / 2) * Math.sin(t)]);
}

// The prompt under a place on the screen, newest first, and which part of it; -1 is the whole.
function holdAt(place, prompts, kinds, toScreen) {
  for (let i = prompts.length - 1; i >= 0; i--) {
    const one = prompts[i];
    if (!kinds.includes(one.kind)) continue;
    for (const [part, p] of grips(one)) {
      const [u, v] = toScreen(p);
      if (Math.hypot(place[0] - u, place[1] - v) <= 8) return { one, part };
    }
    const line = rim(one).map(toScreen);
    const reach = one.kind === "point" ? 9 : 5;
    for (let k = 0; k < Math.max(1, line.length - 1); k++)
      if (toSegment(place, line[k], line[k + 1] ?? line[k]) <= reach) return { one, part: -1 };
  }
  return null;
}

function moved({ one, part }, dx, dy) {
  const points = one.points.map(([x, y]) => [x, y]);
  if (part < 0) for (const p of points) { p[0] += dx; p[1] += dy; }
  else if (one.kind === "polygon") { points[part][0] += dx; points[part][1] += dy; }
  else {
    if ([0, 1, 4].includes(part)) points[0][1] += dy;
    if ([2, 3, 6].includes(part)) points[1][1] += dy;
    if ([0, 3, 7].includes(part)) points[0][0] += dx;
    if ([1, 2, 5].includes(part)) points[1][0] += dx;
  }
  return { ...one, points };
}

// ---- Ink: shapes in image coordinates on the overlay ------------------------------------------------------------------

function trace(ink, points, toScreen) {
  ink.beginPath();
  points.forEach((p, i) => { const [u, v] = toScreen(p); i ? ink.lineTo(u, v) : ink.moveTo(u, v); });
  // A line without length leaves no ink, not even with round ends.
  if (points.length === 1) { const [u, v] = toScreen(points[0]); ink.lineTo(u + 0.01, v); }
}

function paint(ink, shape, sight) {
  const { toScreen } = sight;
  const { kind, colour, points } = shape;
  ink.setLineDash([]);
  ink.globalAlpha = 1;
  ink.lineWidth = 1.5;
  ink.lineJoin = ink.lineCap = "round";
  ink.strokeStyle = ink.fillStyle = colour;
  if (kind === "point" || kind === "ring") {
    const [u, v] = toScreen(points[0]);
    ink.beginPath();
    ink.arc(u, v, 6, 0, 7);
    kind === "point" ? ink.fill() : ink.stroke();
    return;
  }
  if (kind === "dots") {
    for (const p of points) { ink.beginPath(); ink.arc(...toScreen(p), 5, 0, 7); ink.fill(); }
    return;
  }
  if (kind === "stroke") {
    ink.globalAlpha = shape.width ? 0.5 : 1;
    ink.lineWidth = shape.width ? Math.max(1, shape.width * sight.scale()) : 2;
    trace(ink, points, toScreen);
    ink.stroke();
    return;
  }
  if (kind === "outline") {
    trace(ink, points, toScreen);
    if (shape.closed) ink.closePath();
    ink.stroke();
    if (shape.corners) for (const p of points) { const [u, v] = toScreen(p); ink.fillRect(u - 3, v - 3, 6, 6); }
    return;
  }
  trace(ink, rim(shape), toScreen);
  ink.stroke();
  if (shape.grips) for (const [, p] of grips(shape)) { const [u, v] = toScreen(p); ink.strokeRect(u - 3.5, v - 3.5, 7, 7); }
}

// ---- Keys: none reaches the notebook while anything in the annotator has the focus. -----------------------------------

const within = (e, what) => e.target instanceof Element && e.target.closest(what);
const swallow = (e) => { e.preventDefault(); e.stopPropagation(); };

const typing = (e) =>
  within(e, "textarea, select, [contenteditable=true], [contenteditable='']") ||
  within(e, "input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=button]):not([type=color])");
const steering = (e) => within(e, "[role=slider], [role=tab], [role=spinbutton], input[type=radio], input[type=range], .noUi-handle");
// A character, whatever the keyboard: other scripts are read by the place of the key.
function nameOf(e) {
  const letter = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  if (/^\p{L}$/u.test(letter) && !/^[a-z]$/.test(letter) && /^Key[A-Z]$/.test(e.code)) return e.code[3].toLowerCase();
  return letter === "=" ? "+" : letter;
}
function commandOf(e, shortcuts) {
  const name = nameOf(e);
  const symbol = e.key.length === 1 && !/[\p{L}\d]/u.test(e.key);
  const third = e.getModifierState?.("AltGraph") || (e.altKey && symbol); // how [ and ] are typed on many keyboards
  if (e.altKey && !third) return null;
  const ctrl = !third && (e.ctrlKey || e.metaKey);
  return shortcuts.find((k) => k.name === name && k.ctrl === ctrl && (k.shift === e.shiftKey || k.loose)) ?? null;
}

// `local` answers a key by itself and says whether it did; `act` does what the table of shortcuts says.
function guardKeys(listen, root, canvas, shortcuts, local, act) {
  function strike(e) {
    if (e.key === "Tab" || e.isComposing) {
      if (e.target === canvas) e.stopPropagation(); // ipycanvas would keep the focus
      return;
    }
    if (typing(e)) {
      // What is typed belongs to the field, but not what the browser would do to the page.
      if (e.key === "Escape") { canvas.focus({ preventScroll: true }); swallow(e); }
      else if ((e.ctrlKey || e.metaKey) && commandOf(e, shortcuts())?.command === "save") act(e, commandOf(e, shortcuts()));
      return;
    }
    if (steering(e) && (ARROWS[e.key] || ["Home", "End", "PageUp", "PageDown", "Enter", " "].includes(e.key))) return;
    if (e.target === canvas) e.stopPropagation();
    if (local(e)) { swallow(e); return; }
    const found = commandOf(e, shortcuts());
    if (found) act(e, found);
  }
  listen(root, "focusin", (e) => e.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  listen(root, "keydown", strike, { passive: false });
  // After the fields have had it: nothing goes on to the notebook.
  for (const kind of ["keydown", "keypress", "keyup"]) listen(root, kind, (e) => { if (e.key !== "Tab") e.stopPropagation(); }, { capture: false });
}

// ---- A kernel that has gone, or is busy, answers nothing: say so on the picture. ---------------------------------------

function watchKernel(target, box, oldest, gone) {
  const veil = document.createElement("div");
  veil.className = "msam-veil";
  Object.assign(veil.style, { position: "absolute", inset: "0 0 auto 0", padding: "8px", color: "#fff", display: "none", pointerEvents: "none" });
  box.appendChild(veil);
  const say = () => {
    const kernel = target.widget_manager?.kernel;
    if (target.comm_live === false) return ["The kernel has stopped. Run the cell again: your objects are kept.", "#c62828"];
    if (kernel?.connectionStatus && kernel.connectionStatus !== "connected")
      return ["The connection to the kernel is lost. What you do is done when it is back.", "#c62828"];
    if (Date.now() - oldest() > SLOW) return ["The kernel is busy; what you do is done in its turn.", "#5d4037"];
    return ["", ""];
  };
  const look = () => {
    const [text, colour] = say();
    if (veil.textContent === text) return;
    veil.textContent = text;
    Object.assign(veil.style, { background: colour, display: text ? "" : "none" });
    if (target.comm_live === false) gone();
  };
  look();
  const pulse = setInterval(look, 300);
  return { look, end: () => { clearInterval(pulse); veil.remove(); } };
}

// ---- One canvas -------------------------------------------------------------------------------------------------------

function attach(model, target, view) {
  const screen = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  const canvas = view.el;
  const box = canvas.parentElement;
  const root = box.closest(".msam-annotator") ?? box;
  const quit = new AbortController();
  const listen = (where, kind, act, more = {}) =>
    where.addEventListener(kind, act, { capture: true, passive: true, signal: quit.signal, ...more });
  const ends = [() => quit.abort()];
  const follow = (what, event, act) => { what.on(event, act); ends.push(() => what.off(event, act)); };

  // ipycanvas and this layer both count from the corner of the box: nothing may lie between the two.
  for (const one of [box, canvas]) one.style.setProperty("padding", "0", "important");
  for (const side of ["margin", "border"]) canvas.style.setProperty(side, "0", "important");
  Object.assign(box.style, { position: "relative", touchAction: "none" });
  Object.assign(canvas.style, { position: "absolute", maxWidth: "none", maxHeight: "none", transformOrigin: "0 0" });
  const overlay = document.createElement("canvas");
  overlay.className = "msam-overlay";
  Object.assign(overlay.style, { position: "absolute", left: 0, top: 0, width: "100%", height: "100%", pointerEvents: "none" });
  box.appendChild(overlay);
  const ink = overlay.getContext("2d");
  ends.push(() => overlay.remove(), () => Object.assign(canvas.style, { transform: "", position: "" }));

  // Messages, and what of them is not answered yet.
  let views = 0, numbers = 0, timer = 0;
  let pending = []; // {kind: "answers" for a view, or else "done", number, born, shape: what of it is drawn, or null}
  let chosen = null; // {number, tool, positive}: chosen by a key or button, until the kernel has done what has this number
  // Whether a message went out: a kernel that has gone takes none.
  const send = (message) => {
    try {
      if (target.comm_live !== false) model.send({ ...message, screen, time: Date.now() });
      return target.comm_live !== false;
    } catch {
      return false;
    }
  };
  const wait = (kind, number, shape = null) => pending.push({ kind, number, born: Date.now(), shape });
  const arrive = () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    const { y, x, zoom } = sight.live;
    if (send({ kind: "view", number: ++views, y, x, zoom })) wait("answers", views);
  };
  const tell = () => {
    refresh();
    timer ||= setTimeout(arrive, PAUSE);
  };
  const sight = makeSight(canvas, tell);
  ends.push(() => clearTimeout(timer));
  const tool = () => chosen?.tool ?? model.get("tool");
  const positive = () => chosen?.positive ?? model.get("positive");
  const post = (message, e, shape = null) => {
    const [button, shift, ctrl, alt] = [e.button ?? 0, !!e.shiftKey, !!e.ctrlKey || !!e.metaKey, !!e.altKey];
    const all = { tool: e.tool ?? tool(), positive: e.positive ?? positive(), plane: sight.base.plane, button, shift, ctrl, alt, ...message };
    arrive(); // what is done after a move must not be undone by it
    const sent = send({ ...all, number: ++numbers });
    if (sent) wait("done", numbers, shape);
    refresh();
  };

  // What the hand is doing.
  let press = null; // {id, button, does, from, at, far, shape ...}
  let corners = []; // of an open polygon
  let hover = null; // pointer on the screen, CSS pixels
  let held = null; // the prompt under the pointer
  let space = false;
  let last = { time: 0, place: [0, 0] }; // the last click
  let prompts = [];
  const fingers = new Map();
  let pinch = null;
  const readPrompts = () => { prompts = model.get("prompts").map(readPrompt); held = null; refresh(); };

  // ---- Drawing: once per frame ----

  let frame = 0, rect = null;
  const refresh = () => { frame ||= requestAnimationFrame(draw); };
  ends.push(() => cancelAnimationFrame(frame));
  const density = () => window.devicePixelRatio || 1;
  const place = (e) => {
    rect ??= box.getBoundingClientRect(); // measured once per frame: `draw` forgets it
    refresh();
    return [e.clientX - rect.left - box.clientLeft, e.clientY - rect.top - box.clientTop];
  };
  function draw() {
    frame = 0;
    rect = null;
    if (!sight.base) return;
    sight.preview();
    ink.clearRect(0, 0, ...sight.box);
    for (const { shape } of pending) if (shape) paint(ink, shape, sight);
    if (corners.length) paint(ink, openPolygon(), sight);
    if (press?.shape) paint(ink, press.shape, sight);
    if (hover && (!press || press.does === "draw")) pointer();
    const wanted = cursor();
    if (box.style.cursor !== wanted) box.style.cursor = wanted;
    overlay.dataset.tool = tool(); // for whoever looks from outside
  }
  function openPolygon() {
    const points = hover && !press?.far ? [...corners, sight.toImage(hover)] : corners;
    return tool() === "parts"
      ? { kind: "dots", points: corners, colour: YELLOW }
      : { kind: "outline", points, colour: GREEN, corners: true };
  }
  // A prompt that is pointed at; a point as a ring around itself.
  const marked = (one) => ({ ...one, kind: one.kind === "point" ? "ring" : one.kind, colour: WHITE });
  const brushing = () => ["brush", "eraser"].includes(tool());
  const ring = () => (model.get("brush") * sight.scale()) / 2;
  function pointer() {
    if (held && !press) paint(ink, { ...marked(held.one), grips: true }, sight);
    if (!brushing()) return;
    // The brush's true size, seen on dark and on bright ground.
    for (const [colour, wide] of [["#000000", 3], [tool() === "eraser" ? WHITE : YELLOW, 1.5]]) {
      ink.setLineDash([]);
      ink.globalAlpha = 1;
      ink.strokeStyle = colour;
      ink.lineWidth = wide;
      ink.beginPath();
      ink.arc(hover[0], hover[1], Math.max(1, ring()), 0, 7);
      ink.stroke();
    }
  }
  function cursor() {
    if (space || tool() === "hand" || press?.does === "pan") return press ? "grabbing" : "grab";
    if (brushing()) return ring() > 3 ? "none" : "crosshair";
    if (held) return held.part < 0 ? "move" : "pointer";
    return "crosshair";
  }
  // Whether the hand is at work, or has moved the view further than a picture shows: nothing may move under it.
  const busy = (base) => press || pinch || timer !== 0 || (base.answers[screen] ?? 0) < views;
  const relax = () => { if (sight.base && !busy(sight.base)) sight.settle(); };
  // A new picture of the kernel is on the canvas.
  function drawn() {
    const { coming } = sight;
    if (coming) {
      sight.coming = null;
      sight.take(coming, busy(coming));
      sight.preview();
      overlay.dataset.view = `${coming.y} ${coming.x} ${coming.zoom}`; // what the picture shows, for whoever looks from outside
    }
    pending = pending.filter(({ kind, number }) => number > (sight.base?.[kind][screen] ?? 0));
    for (const one of pending) if (Date.now() - one.born > OLD) one.shape = null;
    refresh();
  }
  let told = false;
  function report() {
    const [width, height] = sight.box;
    told = send({ kind: told ? "size" : "ready", width, height, density: density() }) || told;
  }
  function measure() {
    const [width, height] = [box.clientWidth, box.clientHeight];
    if (!width || !height) return;
    sight.box = [width, height];
    overlay.width = Math.round(width * density());
    overlay.height = Math.round(height * density());
    ink.setTransform(density(), 0, 0, density(), 0, 0);
    sight.fit();
    report();
    rect = null;
    refresh();
  }
  // Another view of the same annotator may have given the picture its size. It is this one's when the hand comes here.
  function claim() {
    const now = sight.coming ?? sight.base;
    const mine = sight.box.map((side) => Math.max(50, Math.round(side * density())));
    if (now && (now.width !== mine[0] || now.height !== mine[1])) report();
  }

  // ---- The pointer. ipycanvas must not hear of it too. ----

  for (const kind of STOPPED) listen(box, kind, (e) => e.stopPropagation());
  listen(box, "contextmenu", (e) => { e.preventDefault(); e.stopPropagation(); }, { passive: false });
  listen(box, "wheel", (e) => {
    e.preventDefault();
    e.stopPropagation();
    if (!sight.base) return;
    if ((e.shiftKey || e.altKey) && model.get("planes") > 1) { turn(e); return; }
    const unit = (e.deltaMode === 1 ? 20 : e.deltaMode === 2 ? 400 : 1) * (e.ctrlKey ? 5 : 1); // ctrl: two fingers on a touch pad
    sight.zoom(Math.exp(-Math.max(-240, Math.min(240, e.deltaY * unit)) * 0.002), place(e));
  }, { passive: false });

  // Through the planes. What is sent is the plane to go to: of messages that wait in the kernel one is enough.
  let aim = 0, aimed = 0, left = 0, turning = 0;
  function turn(e) {
    if (press || pinch) return;
    const now = performance.now();
    const delta = (e.deltaY || e.deltaX) * (e.deltaMode ? NOTCH : 1); // with Shift some browsers turn the wheel aside
    if (now - aimed > 500) [aim, left] = [sight.base.plane, 0];
    aimed = now;
    left = Math.abs(delta) >= NOTCH ? Math.sign(delta) * NOTCH : left + delta;
    const steps = Math.trunc(left / NOTCH);
    if (!steps) return;
    left -= steps * NOTCH;
    aim = Math.max(0, Math.min(model.get("planes") - 1, aim + steps));
    turning ||= setTimeout(() => { turning = 0; send({ kind: "plane", plane: aim }); }, TURN);
  }
  ends.push(() => clearTimeout(turning));

  // On a Mac ctrl-click is the right click; a pen's eraser end is its fifth button.
  const buttonOf = (e) => (e.button === 0 && e.ctrlKey && /Mac/.test(navigator.platform) ? 2 : e.button === 5 ? 0 : e.button);
  function doing(e, button, at) {
    const now = e.button === 5 ? "eraser" : tool();
    if (button === 1 || space) return { does: "pan", tool: "hand" };
    if (button === 0 && e.shiftKey) return { does: "span", tool: "box" }; // with any tool
    if (DRAWN[now] && (button === 0 || (button === 2 && BOTH_BUTTONS.includes(now)))) return { does: "draw", tool: now };
    const hold = button === 0 && holdAt(at, prompts, HOLDS[now] ?? [], sight.toScreen);
    if (hold) return { does: "hold", tool: now, hold };
    if (button === 0 && SPANNED.includes(now)) return { does: "span", tool: now };
    return { does: button === 0 ? "pan" : "click", tool: now };
  }
  function lineFor(button, now, start) {
    const negative = button === 2 || !positive();
    const colour = { lasso: GREEN, scribble: negative ? RED : GREEN, split: RED, "delete-inside": RED, eraser: WHITE, choose: button === 2 ? RED : GREEN }[now] ?? (button === 2 ? WHITE : YELLOW);
    const width = ["brush", "eraser"].includes(now) ? model.get("brush") : 0;
    return { kind: DRAWN[now], closed: ["lasso", "choose", "delete-inside"].includes(now), points: [start], colour, width };
  }
  listen(box, "pointerdown", (e) => {
    e.stopPropagation();
    e.preventDefault();
    claim();
    canvas.focus({ preventScroll: true });
    rect = null;
    const at = place(e);
    if (!sight.base) return;
    if (e.pointerType === "touch") {
      fingers.set(e.pointerId, at);
      if (fingers.size === 2) {
        press = null;
        pinch = spread();
      }
      if (fingers.size > 1) return;
    }
    if (press) return;
    hover = at;
    const button = buttonOf(e);
    press = { id: e.pointerId, button, own: tool(), from: at, at, start: sight.toImage(at), far: false, ...doing(e, button, at) };
    press.keys = { button, shiftKey: e.shiftKey, ctrlKey: e.ctrlKey, metaKey: e.metaKey, altKey: e.altKey };
    Object.assign(press.keys, { tool: press.own, positive: positive() }); // as it was when the hand came down
    if (press.does === "draw") press.shape = lineFor(button, press.tool, press.start);
    if (e.isTrusted) box.setPointerCapture(e.pointerId);
  }, { passive: false });

  function spread() {
    const [a, b] = [...fingers.values()];
    return { apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }
  listen(box, "pointermove", (e) => {
    e.stopPropagation();
    if (!sight.base) return;
    const at = place(e);
    if (fingers.has(e.pointerId)) fingers.set(e.pointerId, at);
    if (pinch) {
      if (fingers.size < 2) return;
      const now = spread();
      sight.zoom(now.apart / pinch.apart, pinch.middle, now.middle);
      pinch = now;
      return;
    }
    hover = e.pointerType === "touch" ? null : at;
    if (!press) {
      if (hover) held = holdAt(at, prompts, HOLDS[tool()] ?? [], sight.toScreen);
      return;
    }
    if (e.pointerId !== press.id) return;
    press.far ||= Math.hypot(at[0] - press.from[0], at[1] - press.from[1]) >= REACH;
    if (press.does === "draw") {
      const steps = e.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [e]) extend(place(step));
    } else if (press.far && press.does === "pan") {
      sight.pan(at[0] - press.at[0], at[1] - press.at[1]);
    } else if (press.far && press.does === "span") {
      press.shape = { kind: press.tool, points: upright(press.start, sight.toImage(at)), colour: GREEN };
    } else if (press.far && press.does === "hold") {
      const [x, y] = sight.toImage(at);
      press.shape = { ...moved(press.hold, x - press.start[0], y - press.start[1]), grips: true, colour: press.hold.one.positive ? GREEN : RED };
    }
    press.at = at;
  });
  const upright = ([x0, y0], [x1, y1]) => [[Math.min(x0, x1), Math.min(y0, y1)], [Math.max(x0, x1), Math.max(y0, y1)]];
  function extend(at) {
    const { points } = press.shape;
    const [u, v] = sight.toScreen(points[points.length - 1]);
    if (Math.hypot(at[0] - u, at[1] - v) < 1) return;
    points.push(sight.toImage(at));
    // Long strokes stay quick to draw.
    if (points.length % 500 === 0) press.shape.points = simplify(points, 0.3 / sight.scale());
  }
  listen(box, "pointerup", (e) => {
    e.stopPropagation();
    finger(e);
    if (!press || e.pointerId !== press.id) return;
    const done = press;
    press = null;
    refresh();
    const at = place(e);
    if (e.pointerType === "touch") hover = null;
    if (!done.far && !(done.does === "draw" && done.shape.width)) clicked(done);
    else if (done.does === "draw") drew(done);
    else if (done.does === "span") {
      const [x1, y1] = sight.toImage(at);
      const [x0, y0] = done.start;
      post({ kind: "drag", y0, x0, y1, x1 }, done.keys, { kind: done.tool, points: upright(done.start, [x1, y1]), colour: GREEN });
    } else if (done.does === "hold") {
      const [x, y] = sight.toImage(at);
      const [dx, dy] = [x - done.start[0], y - done.start[1]];
      post({ kind: "shift", prompt: done.hold.one.plain, part: done.hold.part, dy, dx }, done.keys, done.shape);
    }
    relax();
  });
  function drew({ shape, keys, tool: now }) {
    const points = flat(shape.points, 0.3 / sight.scale());
    post({ kind: DRAWN[now], tool: now, points, width: shape.width || 1 }, keys, shape);
  }
  function clicked({ button, start, from, keys, tool: meant, own: now }) {
    if (meant === "hand" || (now === "split" && button === 0)) return;
    const [x, y] = start;
    if (CLICKED.includes(now) && (button === 0 || corners.length)) {
      button !== 0 ? corners.pop() : now === "parts" ? corners.push(start) : corner(start, from);
      return;
    }
    if (button === 2 && PROMPTING.includes(now)) {
      const hold = holdAt(from, prompts, HOLDS.point, sight.toScreen);
      if (hold) {
        post({ kind: "removal", prompt: hold.one.plain }, keys, marked(hold.one));
        return;
      }
    }
    const prompting = PROMPTING.includes(now);
    const colour = !prompting ? WHITE : keys.positive && button === 0 ? GREEN : RED;
    post({ kind: "click", y, x }, keys, { kind: prompting ? "point" : "ring", points: [start], colour });
  }
  // A polygon is closed by a click on its first corner, by a double click, or by Enter.
  function corner(at, from) {
    const now = performance.now();
    const near = (p) => Math.hypot(p[0] - from[0], p[1] - from[1]);
    const twice = corners.length > 0 && now - last.time < TWICE && near(last.place) < REACH;
    last = { time: now, place: from };
    if (corners.length > 2 && (twice || near(sight.toScreen(corners[0])) <= 8)) close();
    else if (!twice) corners.push(at);
    refresh();
  }
  function close() {
    const parts = tool() === "parts";
    if (corners.length < (parts ? 2 : 3)) return;
    const points = corners;
    corners = [];
    if (parts) {
      post({ kind: "parts", tool: "parts", points: points.flatMap(([x, y]) => [round(y), round(x)]) }, {}, { kind: "dots", points, colour: YELLOW });
      return;
    }
    post({ kind: "outline", tool: "polygon", points: points.flatMap(([x, y]) => [round(y), round(x)]) }, {}, { kind: "outline", points, closed: true, colour: GREEN });
  }
  function finger(e) {
    fingers.delete(e.pointerId);
    if (!fingers.size) pinch = null;
  }
  const drop = (e) => {
    e.stopPropagation();
    finger(e);
    if (press?.id === e.pointerId) press = null;
    relax();
    refresh();
  };
  listen(box, "pointercancel", drop);
  listen(box, "lostpointercapture", drop);
  listen(box, "pointerenter", (e) => { if (e.target === box) claim(); });
  listen(box, "pointerleave", (e) => { if (e.target === box) { hover = held = null; refresh(); } });

  // ---- Keys ----

  // What is answered here, without the kernel.
  function local(e) {
    const plain = !e.ctrlKey && !e.metaKey && !e.altKey;
    if (e.key === "Escape" && (press || corners.length)) {
      [press, corners] = [null, []];
      relax();
    } else if (plain && corners.length && (e.key === "Enter" || e.key === "Backspace")) {
      e.key === "Enter" ? close() : corners.pop();
    } else if (plain && ARROWS[e.key] && sight.base) {
      const [right, below] = ARROWS[e.key];
      sight.pan(-0.15 * right * sight.width, -0.15 * below * sight.height);
    } else if (plain && e.key === " " && within(e, "canvas")) {
      space = true;
    } else return false;
    refresh();
    return true;
  }
  function act(e, { command, repeats, tool: next, ctrl, shift, name }) {
    swallow(e);
    if ((e.repeat && !repeats) || !sight.base) return;
    if (command === "closer" || command === "farther") {
      sight.zoom(command === "closer" ? 1.25 : 0.8, [sight.box[0] / 2, sight.box[1] / 2]);
      return;
    }
    choose(next, command);
    post({ kind: "key", key: name, ctrl, shift }, e);
  }
  // A tool chosen by key or button is there for the very next press, before the kernel knows. The message that tells the
  // kernel comes next.
  function choose(next, command) {
    if (!next && command !== "toggle") return;
    if (next && next !== tool()) corners = [];
    chosen = { number: numbers + 1, tool: next || tool(), positive: command === "toggle" ? !positive() : positive() };
    held = null;
    refresh();
  }
  guardKeys(listen, root, canvas, () => model.get("shortcuts"), local, act);
  listen(root, "keyup", (e) => { if (e.key === " " && space) { space = false; refresh(); } });
  const rest = () => { space = false; refresh(); };
  listen(window, "blur", rest);
  listen(root, "focusout", rest);
  // A press on text or an empty place would give the focus, and with it the keys, to the notebook.
  if (!root.hasAttribute("tabindex")) root.tabIndex = -1;
  root.style.outline = "none";

  // A button that disables itself loses the focus to the page, and with it every key would go to the notebook.
  listen(root, "click", (e) => { if (within(e, "button")) arrive(); });
  // After the button has sent its own message.
  listen(root, "click", (e) => {
    const button = within(e, "button");
    if (!button) return;
    if (sight.base && button.classList.contains("msam-button")) {
      const meant = model.get("shortcuts").find((k) => button.classList.contains(`msam-${k.command}`));
      if (meant) choose(meant.tool, meant.command);
      if (meant?.command === "escape") corners = [];
      post({ kind: "pressed" }, {});
    }
    if (e.detail > 0) canvas.focus({ preventScroll: true });
    else setTimeout(() => { if (document.activeElement === document.body) canvas.focus({ preventScroll: true }); }, 300);
  }, { capture: false });
  // A list that was opened for a choice would take the next keys for letters of its entries.
  listen(root, "change", (e) => {
    const list = within(e, "select");
    if (list && list.size <= 1) canvas.focus({ preventScroll: true });
  });
  const rimmed = () => { overlay.style.boxShadow = document.activeElement === canvas ? "inset 0 0 0 2px #1976d2" : ""; };
  for (const kind of ["focus", "blur"]) listen(canvas, kind, rimmed);
  listen(canvas, "focus", claim);
  canvas.style.outline = "none";

  const kernel = watchKernel(target, box, () => pending[0]?.born ?? Infinity, () => { pending = []; chosen = null; refresh(); });
  follow(target, "comm_live_update", kernel.look);
  ends.push(kernel.end);

  // ---- From Python ----

  const layers = target.get("_canvases");
  follow(layers[layers.length - 1], "new-frame", drawn);
  follow(model, "msg:custom", (message) => {
    if (message.kind !== "view") return;
    sight.coming = message;
    if (chosen && (message.done[screen] ?? 0) >= chosen.number) chosen = null;
    refresh();
  });
  for (const name of ["tool", "positive"])
    follow(model, `change:${name}`, () => {
      if (!CLICKED.includes(tool())) corners = [];
      held = null;
      refresh();
    });
  follow(model, "change:brush", refresh);
  follow(model, "change:prompts", readPrompts);
  readPrompts();
  const watch = new ResizeObserver(measure);
  watch.observe(box);
  ends.push(() => watch.disconnect());
  listen(window, "resize", measure); // also when only the pixel density changes
  return () => ends.forEach((end) => end());
}

export default {
  async render({ model }) {
    const name = model.get("target").slice("IPY_MODEL_".length);
    const target = await model.widget_manager.get_model(name);
    const ends = new Map();
    const look = async () => {
      for (const key of Object.keys(target.views ?? {})) {
        const view = await target.views[key];
        if (attached.has(view.el) || !view.el.isConnected || !view.el.parentElement) continue;
        attached.add(view.el);
        ends.set(view, attach(model, target, view));
      }
      for (const [view, end] of ends) {
        if (view.el.isConnected) continue;
        end();
        ends.delete(view);
        attached.delete(view.el);
      }
    };
    const timer = setInterval(look, 50);
    await look();
    return () => {
      clearInterval(timer);
      for (const [view, end] of ends) {
        end();
        attached.delete(view.el);
      }
    };
  },
};

// Pointer, keys, zoom preview and focus guard on an ipycanvas MultiCanvas.
//
// To Python:  ready/size {width, height, density}   click {y, x, button, shift}
//             drag {y0, x0, y1, x1, button, shift}  view {screen, number, y, x, zoom}   key {key, ctrl, shift}
// From Python: view {answers, y, x, zoom, width, height, closest, farthest}: what the next picture shows.
//              answers[screen] is the number of the last view message that it takes into account.
// Coordinates are those of the image; zoom is canvas pixels per image pixel.

const REACH = 4; // CSS pixels between press and release of a click
const PAUSE = 70; // ms between two view messages while the view moves
const STOPPED = ["mousedown", "mouseup", "mousemove", "mouseout", "touchstart", "touchmove", "touchend", "touchcancel"];

// Canvas elements that have their layer. The hidden widget has as many views as the annotator; each canvas needs one.
const attached = new WeakSet();

function attach(model, target, view) {
  const screen = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  const canvas = view.el;
  const box = canvas.parentElement;
  const root = box.closest(".msam-annotator") ?? box;
  const quit = new AbortController();
  const listen = (where, kind, act, more = {}) =>
    where.addEventListener(kind, act, { capture: true, signal: quit.signal, ...more });

  box.style.position = "relative";
  box.style.touchAction = "none";
  const overlay = document.createElement("canvas");
  overlay.className = "msam-overlay";
  Object.assign(overlay.style, { position: "absolute", left: 0, top: 0, width: "100%", height: "100%", pointerEvents: "none" });
  box.appendChild(overlay);
  const ink = overlay.getContext("2d");

  let base = null; // the view of the picture on screen
  let live = null; // the view that the user has moved to
  let coming = null; // the view of the picture being drawn
  let sent = 0;
  let timer = 0;
  let press = null;

  // CSS pixels per canvas pixel; the two differ while a change of size is on its way.
  const across = () => box.clientWidth / base.width;
  const down = () => box.clientHeight / base.height;
  const place = (event) => {
    const r = box.getBoundingClientRect();
    return [event.clientX - r.left, event.clientY - r.top];
  };
  const toImage = ([x, y]) => ({ x: live.x + x / (live.zoom * across()), y: live.y + y / (live.zoom * down()) });

  function preview() {
    const scale = live.zoom / base.zoom;
    const right = (base.x - live.x) * live.zoom * across();
    const below = (base.y - live.y) * live.zoom * down();
    const still = Math.abs(scale - 1) < 1e-9 && live.x === base.x && live.y === base.y;
    canvas.style.transformOrigin = "0 0";
    canvas.style.transform = still ? "" : `translate(${right}px, ${below}px) scale(${scale})`;
  }
  function tell() {
    preview();
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      sent += 1;
      model.send({ kind: "view", screen, number: sent, y: live.y, x: live.x, zoom: live.zoom });
    }, PAUSE);
  }
  function clear() {
    ink.clearRect(0, 0, overlay.width, overlay.height);
  }
  function drawn() {
    if (coming) {
      const moving = timer !== 0 || (coming.answers[screen] ?? 0) < sent;
      base = coming;
      coming = null;
      if (!moving || !live) live = { y: base.y, x: base.x, zoom: base.zoom };
      preview();
    }
    if (!press) clear();
  }
  let told = false;
  function measure() {
    const density = window.devicePixelRatio || 1;
    const width = box.clientWidth;
    const height = box.clientHeight;
    if (!width || !height) return;
    overlay.width = Math.round(width * density);
    overlay.height = Math.round(height * density);
    ink.setTransform(density, 0, 0, density, 0, 0);
    model.send({ kind: told ? "size" : "ready", width, height, density });
    told = true;
  }

  // The pointer. ipycanvas must not hear of it too.
  for (const kind of STOPPED) listen(box, kind, (e) => e.stopPropagation());
  listen(box, "contextmenu", (e) => { e.preventDefault(); e.stopPropagation(); });
  listen(box, "wheel", (e) => {
    e.preventDefault();
    e.stopPropagation();
    if (!base) return;
    const unit = e.deltaMode === 1 ? 20 : e.deltaMode === 2 ? 400 : 1;
    const at = place(e);
    const before = toImage(at);
    live.zoom *= Math.exp(-Math.max(-240, Math.min(240, e.deltaY * unit)) * 0.002);
    live.zoom = Math.max(base.farthest, Math.min(base.closest, live.zoom));
    const after = toImage(at);
    live.x += before.x - after.x;
    live.y += before.y - after.y;
    tell();
  }, { passive: false });
  listen(box, "pointerdown", (e) => {
    e.stopPropagation();
    e.preventDefault();
    canvas.focus({ preventScroll: true });
    if (!base || press) return;
    const boxing = e.button === 0 && (model.get("tool") === "box" || e.shiftKey);
    press = { id: e.pointerId, from: place(e), at: place(e), start: toImage(place(e)), button: e.button, shift: e.shiftKey, boxing, far: false };
    if (e.isTrusted) box.setPointerCapture(e.pointerId);
  });
  listen(box, "pointermove", (e) => {
    e.stopPropagation();
    if (!press || e.pointerId !== press.id) return;
    const [x, y] = place(e);
    if (!press.far && Math.hypot(x - press.from[0], y - press.from[1]) < REACH) return;
    press.far = true;
    if (press.boxing) {
      clear();
      ink.lineWidth = 1.5;
      ink.strokeStyle = "#00e640";
      ink.strokeRect(press.from[0], press.from[1], x - press.from[0], y - press.from[1]);
    } else if (press.button !== 2) {
      live.x -= (x - press.at[0]) / (live.zoom * across());
      live.y -= (y - press.at[1]) / (live.zoom * down());
      tell();
    }
    press.at = [x, y];
  });
  const release = (e) => {
    e.stopPropagation();
    if (!press || e.pointerId !== press.id) return;
    const done = press;
    press = null;
    const common = { button: done.button, shift: done.shift };
    if (e.type === "pointercancel") { clear(); return; }
    if (!done.far) {
      if (done.button === 1) return;
      const [x, y] = done.from;
      ink.fillStyle = model.get("positive") && done.button === 0 ? "#00e640" : "#ff3030";
      ink.beginPath();
      ink.arc(x, y, 6, 0, 7);
      ink.fill();
      model.send({ kind: "click", ...done.start, ...common });
    } else if (done.boxing) {
      const end = toImage(place(e));
      model.send({ kind: "drag", y0: done.start.y, x0: done.start.x, y1: end.y, x1: end.x, ...common });
    }
  };
  listen(box, "pointerup", release);
  listen(box, "pointercancel", release);

  // Keys: none reaches the notebook while anything in the annotator has the focus.
  const free = (e) => e.target instanceof HTMLElement && (e.target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName));
  listen(root, "focusin", (e) => e.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  listen(root, "keydown", (e) => {
    if (e.key === "Tab") return;
    e.stopPropagation();
    if (free(e)) return;
    const ctrl = e.ctrlKey || e.metaKey;
    const name = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const typed = name === "=" ? "+" : name;
    const known = model.get("shortcuts").some((k) => k.name === typed && k.ctrl === ctrl && (k.shift === e.shiftKey || "+-?".includes(typed)));
    if (!known || e.altKey) return;
    e.preventDefault();
    model.send({ kind: "key", key: e.key, ctrl, shift: e.shiftKey });
  });

  // A button that disables itself loses the focus to the page, and with it every key would go to the notebook.
  listen(root, "click", (e) => {
    if (!(e.target instanceof Element) || !e.target.closest("button")) return;
    if (e.detail > 0) canvas.focus({ preventScroll: true });
    else setTimeout(() => { if (document.activeElement === document.body) canvas.focus({ preventScroll: true }); }, 300);
  });

  // A kernel that has gone answers nothing: say so on the picture.
  const veil = document.createElement("div");
  veil.className = "msam-veil";
  veil.textContent = "The kernel has stopped. Run the cell again: your objects are kept.";
  Object.assign(veil.style, {
    position: "absolute", inset: "0 0 auto 0", padding: "8px", background: "#c62828", color: "#fff", display: "none",
  });
  box.appendChild(veil);
  const living = () => { veil.style.display = target.comm_live === false ? "" : "none"; };
  target.on("comm_live_update", living);
  living();

  const layers = target.get("_canvases");
  const top = layers[layers.length - 1];
  top.on("new-frame", drawn);
  const receive = (message) => { if (message.kind === "view") coming = message; };
  model.on("msg:custom", receive);
  const watch = new ResizeObserver(measure);
  watch.observe(box);
  window.addEventListener("resize", measure, { signal: quit.signal }); // also when only the pixel density changes
  measure();
  return () => {
    quit.abort();
    watch.disconnect();
    clearTimeout(timer);
    top.off("new-frame", drawn);
    model.off("msg:custom", receive);
    target.off("comm_live_update", living);
    veil.remove();
    overlay.remove();
    canvas.style.transform = "";
  };
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

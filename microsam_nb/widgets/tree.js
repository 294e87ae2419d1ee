// Lies over a plot of tracks and says where it is pressed, in frames and rows.
//
// To Python: press {x, y, more}; scroll {first, last}: the rows in sight, where these are not drawn
// Traits: rows in all; span [left, right, top, bottom] of the plot; bars [[track, row, first, last] ...] for the words at the pointer;
// reveal [row, number]: a row to scroll into sight.

function render({ model, el }) {
  el.classList.add("msam-tree-layer");
  const plot = () => el.closest(".msam-tree-body")?.querySelector(".plotarea_events")?.getBoundingClientRect();
  const place = (e) => {
    const box = plot();
    if (!box?.width || !box.height) return null;
    const [left, right, top, bottom] = model.get("span");
    return [left + ((e.clientX - box.left) / box.width) * (right - left),
      top + ((e.clientY - box.top) / box.height) * (bottom - top)];
  };
  el.onclick = (e) => {
    const at = place(e);
    if (at) model.send({ kind: "press", x: at[0], y: at[1], more: e.shiftKey || e.ctrlKey || e.metaKey });
  };
  el.onmousemove = (e) => {
    const at = place(e);
    if (!at) return;
    const near = (bar) => Math.abs(bar[1] - at[1]);
    const under = model.get("bars").filter((bar) => near(bar) <= 0.6 && at[0] >= bar[2] - 0.5 && at[0] <= bar[3] + 0.5);
    const bar = under.sort((a, b) => near(a) - near(b))[0];
    el.style.cursor = bar ? "pointer" : "default";
    el.title = `${bar ? `Track ${bar[0]}, frames ${bar[2]} to ${bar[3]}; ` : ""}frame ${Math.round(at[0])}`;
  };
  const reveal = () => {
    const [row, number] = model.get("reveal");
    const frame = el.closest(".msam-tree"), box = plot();
    if (!number || !frame || !box) return;
    const [, , top, bottom] = model.get("span");
    const down = box.top - frame.getBoundingClientRect().top + ((row - top) / (bottom - top)) * box.height;
    if (down < 10 || down > frame.clientHeight - 10) frame.scrollTop += down - frame.clientHeight / 2;
  };
  // The plot takes its new height first.
  const later = () => setTimeout(reveal, 250);
  model.on("change:reveal", later);
  // Of many rows only those around the ones in sight are drawn. Scrolling does not bubble, but can be caught.
  let waiting = 0;
  const look = () => {
    waiting = 0;
    const frame = el.closest(".msam-tree")?.getBoundingClientRect(), box = plot();
    if (!frame?.height || !box?.height) return;
    const [, , top, bottom] = model.get("span"), high = (bottom - top) / box.height;
    const first = Math.max(top + (frame.top - box.top) * high, 0);
    const last = Math.min(top + (frame.bottom - box.top) * high, model.get("rows") - 1);
    if (first < top || last > bottom) model.send({ kind: "scroll", first, last });
  };
  const scrolled = (e) => {
    if (!waiting && e.target === el.closest(".msam-tree")) waiting = setTimeout(look, 60);
  };
  document.addEventListener("scroll", scrolled, true);
  return () => {
    clearTimeout(waiting);
    document.removeEventListener("scroll", scrolled, true);
    model.off("change:reveal", later);
  };
}

export default { render };

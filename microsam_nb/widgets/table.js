// A long table of which only the rows in sight exist.
//
// To Python: sort {key}   filter {text}   window {first}   pick {label, more}   edit {label, key, text}
// The rows come as [number, colour, text of each column] with `first` and `total`; see table.py.

const HEIGHT = 24; // CSS pixels of a row
const STYLE = `
.msam-table { font-size: var(--jp-ui-font-size1, 13px); color: var(--msam-text, #222); }
.msam-table input { font: inherit; color: inherit; box-sizing: border-box; width: 100%; padding: 1px 4px;
  background: var(--msam-ground, #fff); border: 1px solid var(--msam-line, #ccc); border-radius: 2px; }
.msam-table .head, .msam-table .row { display: grid; align-items: center; column-gap: 6px; padding: 0 4px; }
.msam-table .head { border-bottom: 1px solid var(--msam-line, #ccc); margin-top: 4px; }
.msam-table .head button { all: unset; cursor: pointer; font-weight: 600; padding: 3px 0; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.msam-table .head button:hover { color: var(--msam-brand, #1976d2); }
.msam-table .head button:focus-visible { outline: 2px solid var(--msam-brand, #1976d2); }
.msam-table .number { text-align: right; }
.msam-table .list { height: 260px; overflow-y: scroll; position: relative; }
.msam-table .row { position: absolute; left: 0; right: 0; height: ${HEIGHT}px; cursor: pointer; }
.msam-table .row:hover { background: var(--msam-raised, #eee); }
.msam-table .row.picked { background: color-mix(in srgb, var(--msam-brand, #1976d2) 28%, transparent); }
.msam-table .row > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.msam-table .row .text:hover { text-decoration: underline dotted; }
.msam-table .row .text:empty::before { content: "–"; color: var(--msam-faint, #666); }
.msam-table .chip { width: 12px; height: 12px; border-radius: 2px; border: 1px solid var(--msam-faint, #666); }
.msam-table .summary { color: var(--msam-faint, #666); padding: 3px 4px 0; }
`;

function render({ model, el }) {
  el.classList.add("msam-table");
  const make = (tag, name, parent) => {
    const one = document.createElement(tag);
    if (name) one.className = name;
    parent.appendChild(one);
    return one;
  };
  const style = make("style", "", el);
  style.textContent = STYLE;
  const search = make("input", "search", el);
  search.placeholder = model.get("hint");
  search.setAttribute("aria-label", "Filter the table");
  search.value = model.get("filter");
  const head = make("div", "head", el);
  const list = make("div", "list", el);
  list.tabIndex = -1;
  const floor = make("div", "", list); // as high as all rows together
  const body = make("div", "", list);
  const summary = make("div", "summary", el);

  let editing = null; // {label, key, text, input}
  const columns = () => model.get("columns");
  const template = () => `14px ${columns().map((c) => c.width).join(" ")}`;

  function drawHead() {
    head.textContent = "";
    head.style.gridTemplateColumns = template();
    make("span", "", head);
    const [key, down] = model.get("sorting");
    for (const column of columns()) {
      const button = make("button", column.number ? "number" : "", head);
      button.textContent = column.title + (column.key === key ? (down ? " ▾" : " ▴") : "");
      button.title = `Sort by ${column.title.toLowerCase()}`;
      button.dataset.key = column.key;
      button.onclick = () => model.send({ kind: "sort", key: column.key });
    }
  }
  function drawRows() {
    floor.style.height = `${model.get("total") * HEIGHT}px`;
    summary.textContent = model.get("summary");
    head.style.paddingRight = `${list.offsetWidth - list.clientWidth + 4}px`; // beside the scroll bar
    if (editing) return; // the row under the fingers stays; what has changed is drawn afterwards
    body.textContent = "";
    const first = model.get("first");
    const picked = new Set(model.get("picked"));
    model.get("rows").forEach(([label, colour, ...texts], place) => {
      const row = make("div", picked.has(label) ? "row picked" : "row", body);
      row.style.top = `${(first + place) * HEIGHT}px`;
      row.style.gridTemplateColumns = template();
      row.dataset.label = label;
      make("span", "chip", row).style.background = colour;
      columns().forEach((column, i) => {
        const cell = make("span", `${column.number ? "number" : ""} ${column.editable ? "text" : ""}`, row);
        cell.textContent = texts[i];
        cell.dataset.key = column.key;
        if (column.editable) cell.title = texts[i] || `Click and type to enter a ${column.title.toLowerCase()}`;
      });
    });
  }
  function reveal() {
    const [place, number] = model.get("reveal");
    if (!number) return;
    const top = place * HEIGHT;
    if (top < list.scrollTop || top + HEIGHT > list.scrollTop + list.clientHeight) {
      list.scrollTop = Math.max(0, top - list.clientHeight / 2);
    }
  }
  function finish(keep) {
    if (!editing) return;
    const { label, key, text, input } = editing;
    editing = null;
    if (keep && input.value !== text) model.send({ kind: "edit", label, key, text: input.value });
    const cell = input.parentElement;
    if (cell) cell.textContent = keep ? input.value : text;
    drawRows();
  }
  function edit(cell, label) {
    finish(true);
    const text = cell.textContent;
    cell.textContent = "";
    const input = make("input", "", cell);
    input.value = text;
    input.setAttribute("aria-label", `${cell.dataset.key} of object ${label}`);
    editing = { label, key: cell.dataset.key, text, input };
    input.focus();
    input.select();
    input.onchange = input.onblur = () => finish(true);
  }
  // The next cell that can be edited, in this row or the next one; at the end the edit is over.
  function onward(step) {
    const { label, key } = editing;
    finish(true);
    const cells = [...body.querySelectorAll("span.text")];
    const at = cells.findIndex((c) => c.dataset.key === key && Number(c.parentElement.dataset.label) === label);
    const next = at < 0 ? null : cells[at + step];
    if (!next) { list.focus({ preventScroll: true }); return; }
    const row = Number(next.parentElement.dataset.label);
    chosen = { label: row, key: next.dataset.key };
    edit(next, row);
  }
  // Before the annotator's guard of keys, which gives the focus back to the image and so ends the edit.
  let chosen = null; // the cell that was clicked last
  const strike = (e) => {
    if (!editing && list.contains(e.target)) {
      // As in a spreadsheet: letters are typed into the chosen cell. They are never commands here.
      const letter = e.key.length === 1 && !e.ctrlKey && !e.metaKey && !e.altKey;
      if (!letter && e.key !== "F2" && e.key !== "Enter") return;
      e.preventDefault();
      e.stopImmediatePropagation();
      const row = chosen && body.querySelector(`.row[data-label="${chosen.label}"]`);
      const cell = row?.querySelector(`span.text[data-key="${chosen.key}"]`);
      if (!cell || (letter && e.key === " ")) return;
      edit(cell, chosen.label);
      if (letter) editing.input.value = e.key;
      return;
    }
    if (!editing || e.target !== editing.input || e.isComposing) return;
    if (e.key === "Tab") {
      e.preventDefault();
      e.stopImmediatePropagation();
      onward(e.shiftKey ? -1 : 1);
    } else if (e.key === "Escape" || e.key === "Enter") {
      finish(e.key === "Enter");
      // The field is gone: without the focus the next keys would be nobody's.
      el.closest(".msam-annotator")?.querySelector(".msam-canvas canvas")?.focus({ preventScroll: true });
    }
  };
  window.addEventListener("keydown", strike, true);
  body.onclick = (e) => {
    const row = e.target.closest(".row");
    if (!row || e.target.tagName === "INPUT") return;
    const label = Number(row.dataset.label);
    const cell = e.target.closest("span.text");
    // The first click of a double click has drawn the row anew: what counts is where the second one falls.
    if (cell && e.detail > 1) { edit(cell, label); return; }
    if (e.detail > 1) return;
    chosen = { label, key: cell ? cell.dataset.key : "name" };
    model.send({ kind: "pick", label, more: e.shiftKey || e.ctrlKey || e.metaKey });
  };
  body.onmousedown = (e) => { if (e.detail > 1 && e.target.tagName !== "INPUT") e.preventDefault(); };

  let asked = 0;
  list.onscroll = () => {
    if (asked) return;
    asked = setTimeout(() => {
      asked = 0;
      const top = Math.floor(list.scrollTop / HEIGHT);
      const end = Math.min(model.get("total"), top + Math.ceil(list.clientHeight / HEIGHT));
      const first = model.get("first");
      if (top < first || end > first + model.get("rows").length) model.send({ kind: "window", first: top });
    }, 40);
  };
  let typed = 0;
  search.oninput = () => {
    clearTimeout(typed);
    typed = setTimeout(() => model.send({ kind: "filter", text: search.value }), 200);
  };

  const drawAll = () => { drawHead(); drawRows(); };
  model.on("change:columns change:sorting", drawAll);
  model.on("change:rows change:first change:total change:picked change:summary", drawRows);
  model.on("change:reveal", reveal);
  drawAll();
  // A page that is opened later begins at the top, wherever another one has scrolled to.
  if (model.get("first") > 0) model.send({ kind: "window", first: 0 });
  return () => {
    window.removeEventListener("keydown", strike, true);
    clearTimeout(asked);
    clearTimeout(typed);
    model.off("change:columns change:sorting", drawAll);
    model.off("change:rows change:first change:total change:picked change:summary", drawRows);
    model.off("change:reveal", reveal);
  };
}

export default { render };

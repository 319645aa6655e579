// ---- The table: which rows it shows, in which order, and which of them are open.

const body = document.querySelector("tbody");
const tableRows = all("tr.row", body);
const details = all("tr.detail", body);
const headings = all("th");
const opener = (row) => tableRows[row].querySelector(".open");
const isOpen = (row) => opener(row).getAttribute("aria-expanded") === "true";

function open(row, expanded) {
  opener(row).setAttribute("aria-expanded", String(expanded));
}

function showTable(visible) {
  const seen = new Set(visible), [key] = data.keys;
  tableRows.forEach((tr, row) => {
    tr.hidden = !seen.has(row);
    tr.classList.toggle("selected", state.selected.has(row));
    details[row].hidden = tr.hidden || !isOpen(row);
  });
  // a line where a new group begins, but only if the rows of each value of the first key stand together
  const value = (place) => valueOf(data.rows[visible[place]], key);
  const starts = visible.map((_, place) => data.keys.length > 1 && place > 0 && value(place) !== value(place - 1));
  const groups = new Set(visible.map((row) => valueOf(data.rows[row], key))).size;
  const grouped = starts.filter(Boolean).length === groups - 1 && groups < visible.length;
  visible.forEach((row, place) => {
    tableRows[row].classList.toggle("group", grouped && starts[place]);
    // what a row repeats from the one above steps back
    let repeats = place > 0;
    data.keys.forEach((name, column) => {
      repeats &&= column < data.keys.length - 1 && valueOf(data.rows[row], name) === valueOf(data.rows[visible[place - 1]], name);
      tableRows[row].children[column].classList.toggle("repeat", repeats);
    });
  });
  const runs = visible.reduce((sum, row) => sum + data.rows[row].runs.length, 0), total = data.runs.length;
  byId("count").textContent = total === 1 ? "1 run." : runs === total ? `All ${total} runs.` : `${runs} of ${total} runs.`;
}

// the columns that are about the layer chosen
function showLayerColumns() {
  const layer = chosen("layer", "");
  all(".layer-name").forEach((span) => { span.textContent = layer; });
  tableRows.forEach((tr, row) => all("td.layer", tr).forEach((cell, number) => {
    const value = (data.rows[row].layers[layer] ?? [null, null])[number];
    cell.textContent = value === null ? "-" : Number(value.toPrecision(3)).toString();
    cell.dataset.sort = value ?? "";
  }));
}

function place() {
  state.order.forEach((row) => body.append(tableRows[row], details[row]));
}

function sortBy(column, ascending) {
  const keyed = new Map(state.order.map((row) => {
    const text = tableRows[row].children[column].dataset.sort;
    return [row, { text, number: text === "" ? NaN : Number(text) }];
  }));
  const sign = ascending ? 1 : -1;
  state.order.sort((i, j) => {
    const [a, b] = [keyed.get(i), keyed.get(j)];
    // what has no number stands last, whichever way
    if (isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1;
    const difference = isNaN(a.number) ? (a.text > b.text) - (a.text < b.text) : a.number - b.number;
    return sign * difference || i - j;
  });
  place();
  headings.forEach((th, i) => th.setAttribute("aria-sort", i !== column ? "none" : ascending ? "ascending" : "descending"));
}

// as the page was written
function unsort() {
  state.order.sort((i, j) => i - j);
  place();
  headings.forEach((th) => th.setAttribute("aria-sort", "none"));
}

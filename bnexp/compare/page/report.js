// ---- What the reader does.

function showSwatches() {
  const key = byId("colour").value, colour = colours();
  for (const filter of filters) for (const input of filter.inputs) {
    const swatch = input.nextElementSibling, row = data.rows.find((one) => valueOf(one, key) === input.value);
    swatch.style.display = filter.key === key ? "block" : "none";
    if (filter.key === key && row) swatch.style.background = colour(row);
  }
}

function show() {
  const visible = visibleRows();
  showTable(visible);
  showSwatches();
  showAccuracy(visible);
  showTrajectories(visible);
}

function start() {
  filters.forEach(({ inputs }) => inputs.forEach((input) => { input.checked = true; }));
  all("select").forEach((menu) => { menu.selectedIndex = 0; });
  all("#log").forEach((box) => { box.checked = false; });
  byId("colour").value = data.colour_by;
  data.rows.forEach((_, row) => open(row, false));
  byId("expand").textContent = "open all rows";
  state.selected = new Set();
  showLayerColumns();
  unsort();
  show();
}

for (const { inputs, set } of filters) {
  set.addEventListener("change", show);
  all("[data-bulk]", set).forEach((button) => button.addEventListener("click", () => {
    inputs.forEach((input) => { input.checked = button.dataset.bulk === "all"; });
    show();
  }));
}
byId("layer").addEventListener("change", () => { showLayerColumns(); show(); });
for (const id of ["colour", "channel", "view", "seed", "log"]) byId(id)?.addEventListener("change", show);
headings.forEach((th, column) => th.querySelector("button").addEventListener("click", () => {
  sortBy(column, th.getAttribute("aria-sort") !== "ascending");
  show();
}));
body.addEventListener("click", (event) => {
  const tr = event.target.closest("tr.row");
  if (!tr) return;
  const row = Number(tr.dataset.row), opening = !isOpen(row);
  open(row, opening);
  state.selected = new Set(opening ? [row] : []);
  show();
});
byId("expand").addEventListener("click", () => {
  const opening = byId("expand").textContent === "open all rows";
  data.rows.forEach((_, row) => open(row, opening));
  byId("expand").textContent = opening ? "close all rows" : "open all rows";
  show();
});
byId("reset").addEventListener("click", start);
// plots take their ink from the page: again when it changes from light to dark, or to paper
for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", show);

// also where the browser remembers what was chosen before: it would not match what is drawn
start();
for (const id of ["accuracy", "mean", "variance"]) byId(id)?.on("plotly_click", (event) => {
  const rows = event.points[0].customdata;
  if (!rows) return;
  select(rows);
  show();
});

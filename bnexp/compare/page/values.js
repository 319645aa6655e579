// ---- What the report shows, and what of it is chosen. Everything is in the JSON beside this; nothing is fetched.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// the gravest is drawn last, on top
const TONES = ["none", "good", "slow", "wrong"];
const PALETTE = ["#2f8fb3", "#e8590c", "#37a169", "#c2255c", "#9c36b5", "#d69a00", "#5f6cc4", "#a8471f", "#12908e", "#f0308a", "#7a8b2f"];
const SCALE = [[53, 184, 166], [47, 127, 193], [138, 63, 176], [214, 51, 108]];

const filters = all("fieldset[data-key]").map((set) => ({ key: set.dataset.key, inputs: all("input", set), set }));

const state = {
  order: data.rows.map((_, row) => row), // of the rows, as the table is sorted
  selected: new Set(), // rows to highlight; none means all
};

const valueOf = (row, key) => (key === "verdict" ? row.verdict : row.keys[key]);
const isBright = (rows) => state.selected.size === 0 || rows.some((row) => state.selected.has(row));
const chosen = (id, otherwise) => byId(id)?.value ?? otherwise;

// highlights rows, or none where just these are highlighted already
function select(rows) {
  const same = rows.length === state.selected.size && rows.every((row) => state.selected.has(row));
  state.selected = new Set(same ? [] : rows);
}

// the rows that every filter lets through, in the table's order
function visibleRows() {
  const allowed = filters.map(({ key, inputs }) => [key, new Set(inputs.filter((i) => i.checked).map((i) => i.value))]);
  return state.order.filter((row) => allowed.every(([key, values]) => values.has(valueOf(data.rows[row], key))));
}

// plotly reads a little HTML in its texts, and what runs are called is not ours to trust
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function figure(value, digits = 4) {
  return value === null ? "-" : value.toFixed(digits).replace("-", "\u2212");
}

const decoded = new Map();
function array(place, Kind) {
  if (!decoded.has(place)) {
    const bytes = Uint8Array.from(atob(data.arrays[place]), (character) => character.charCodeAt(0));
    decoded.set(place, new Kind(bytes.buffer));
  }
  return decoded.get(place);
}

// the colour of a row: its verdict's own, a scale for numbers, a palette for names
function colours() {
  const key = byId("colour").value;
  if (key === "verdict") return (row) => row.colour;
  const values = filters.find((filter) => filter.key === key).inputs.map((input) => input.value);
  const place = (row) => values.indexOf(valueOf(row, key));
  if (values.length < 2 || !values.every((value) => value !== "" && isFinite(value))) return (row) => PALETTE[place(row) % PALETTE.length];
  return (row) => {
    const at = (place(row) / (values.length - 1)) * (SCALE.length - 1), low = Math.min(Math.floor(at), SCALE.length - 2);
    const mixed = SCALE[low].map((from, c) => Math.round(from + (at - low) * (SCALE[low + 1][c] - from)));
    return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  };
}

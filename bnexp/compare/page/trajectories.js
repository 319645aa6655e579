// ---- Moving mean and moving variance of every visible row, with the population's, and the list that names the lines.

const DASHES = ["solid", "dash", "dot", "dashdot"];
const SVG_DASH = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };

const HOW = {
  raw: "Lines: the moving statistic, which inference reads. Circles: the population's, measured with the weights of that step. A line that sits on its circles can be trusted.",
  relative: "How far the statistic that inference reads is from the population's with the weights of that step: 0 for the mean and 1 for the variance (dotted) are right. A line is the mean of its row's seeds, the band around it ± one standard deviation.",
};
const TITLES = {
  raw: { mean: "moving mean", variance: "moving variance" },
  relative: { mean: "mean error (standard deviations)", variance: "moving / population variance" },
};

const rowsOf = (group) => [...new Set(group.map((curve) => curve.row))];
const gravity = (group) => TONES.indexOf(data.rows[group[0].row].tone);

function inFew(names, most) {
  return names.length <= most ? names.join("; ") : `${names.slice(0, most - 1).join("; ")} and ${names.length - most + 1} more`;
}

// the lines of both plots: curves that coincide in both, with one colour and dash
function linesOf(curves) {
  const drawn = (curve, name) => curve[name];
  const groups = coinciding(curves, drawn, STATISTICS, true).sort((a, b) => gravity(a) - gravity(b));
  const stacks = coinciding(groups.map(([first]) => first), drawn, STATISTICS, false);
  const used = new Map();
  return groups.map((group) => {
    // a dash for each line of a colour; and what lies on a line of another colour has gaps that show it
    const { colour } = group[0], beneath = stacks.find((stack) => stack.includes(group[0])).indexOf(group[0]);
    const number = Math.max(used.get(colour) ?? 0, Math.min(beneath, 1));
    used.set(colour, number + 1);
    return { group, names: namesOf(group), rows: rowsOf(group), colour, dash: DASHES[number % DASHES.length] };
  });
}

function lineHover({ group, names }, kind) {
  const listed = names.length > 10 ? [...names.slice(0, 9), `and ${names.length - 9} more`] : names;
  const channels = [...new Set(group.flatMap((curve) => curve.channels))];
  const about = `channel${channels.length > 1 ? "s" : ""} ${channels.slice(0, 6).join(", ")}${channels.length > 6 ? ", …" : ""}`;
  return `${kind}%{y:.5g} at step %{x}<br><b>${listed.map((name) => plain(shorten(name, 60))).join("<br>")}</b><br>${about}<extra></extra>`;
}

function lineTrace(line, name) {
  const { x, y } = line.group[0][name];
  return {
    type: "scatter", mode: "lines", name: inFew(line.names, 2), meta: "moving", x, y, opacity: isBright(line.rows) ? 1 : 0.15,
    // what is right is drawn broad and first: a wrong line that runs on it leaves its edges to be seen
    line: { color: line.colour, dash: line.dash, width: (gravity(line.group) < 2 ? 5 : 2) + (state.selected.size && isBright(line.rows) ? 1 : 0) },
    hovertemplate: lineHover(line, ""), customdata: Array.from(x, () => line.rows),
  };
}

function bandTraces(line, name) {
  const { x, y, spread } = line.group[0][name];
  if (!spread?.some((value) => value > 0)) return [];
  // a variance has no place below 0, and its axis none at 0
  const lower = y.map((value, j) => (name === "variance" ? Math.max(value - spread[j], value / 100) : value - spread[j]));
  return [{
    type: "scatter", mode: "lines", meta: "band", hoverinfo: "skip", fill: "toself", fillcolor: line.colour, line: { width: 0 }, opacity: isBright(line.rows) ? 0.18 : 0.04,
    x: [...x, ...[...x].reverse()], y: [...y.map((value, j) => value + spread[j]), ...[...lower].reverse()],
  }];
}

function populationTraces(curves, name) {
  const groups = coinciding(curves, (curve, statistic) => curve[statistic].population, [name], false);
  return groups.map((group) => {
    const { x, y } = group[0][name].population, rows = rowsOf(group);
    // a population that lines of several colours share takes the colour of the ink
    const own = groups.length > 1 && group.every((curve) => curve.colour === group[0].colour);
    return {
      type: "scatter", mode: "markers", name: "population", meta: "population", x, y, opacity: isBright(rows) ? 1 : 0.15,
      marker: { symbol: "circle-open", size: 7, color: own ? group[0].colour : css("--ink"), line: { width: 1.6 } },
      hovertemplate: lineHover({ group, names: namesOf(group) }, "population "), customdata: Array.from(x, () => rows),
    };
  });
}

// on an axis of few decades the powers of ten alone are too few figures, and plotly writes those between as lone digits
function logTicks(values) {
  const exponents = values.filter((value) => isFinite(value) && value > 0).map(Math.log10);
  if (!exponents.length) return {};
  const low = Math.floor(exponents.reduce((a, b) => Math.min(a, b))), high = Math.ceil(exponents.reduce((a, b) => Math.max(a, b)));
  if (high - low > 3) return { dtick: Math.ceil((high - low) / 6) };
  const tickvals = [];
  for (let exponent = low; exponent <= high; exponent++) for (const digit of [1, 2, 5]) tickvals.push(Number(`${digit}e${exponent}`));
  return { tickmode: "array", tickvals, ticktext: tickvals.map(String) };
}

function showStatistic(curves, lines, name, view) {
  const relative = view === "relative", right = name === "variance" ? 1 : 0, logSteps = byId("log").checked;
  const traces = [...lines.flatMap((line) => bandTraces(line, name)), ...lines.map((line) => lineTrace(line, name))];
  if (!relative) traces.push(...populationTraces(curves, name));
  const yaxis = { title: { text: TITLES[view][name] }, exponentformat: "power", minexponent: 4 };
  if (name === "variance") Object.assign(yaxis, { type: "log" }, logTicks(traces.flatMap((trace) => [...trace.y])));
  Plotly.react(name, traces, look({
    margin: { l: 10, r: 10, t: 28, b: 44 },
    shapes: relative ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: right, y1: right, line: { color: css("--ink"), width: 1.5, dash: "dot" } }] : [],
    xaxis: { title: { text: "training step" }, ...(logSteps ? { type: "log", dtick: 1 } : { type: "linear" }) },
    yaxis,
  }), CONFIG);
}

// the list of lines: one button each, which highlights the line and its rows
function showLegend(lines) {
  byId("lines").replaceChildren(...lines.map(({ group, names, rows, colour, dash }) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), stroke = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [name, value] of Object.entries({ width: 30, height: 8, "aria-hidden": "true" })) svg.setAttribute(name, value);
    for (const [name, value] of Object.entries({ x1: 0, x2: 30, y1: 4, y2: 4, stroke: colour, "stroke-width": 3, "stroke-dasharray": SVG_DASH[dash] })) stroke.setAttribute(name, value);
    svg.append(stroke);
    const words = document.createElement("span"), verdict = document.createElement("small");
    verdict.textContent = [...new Set(group.map((curve) => data.rows[curve.row].verdict))].join(", ") || "no verdict";
    words.append(inFew(names, 4), " ", verdict);
    button.type = "button";
    button.title = names.join("\n");
    button.setAttribute("aria-pressed", String(state.selected.size > 0 && isBright(rows)));
    button.style.opacity = isBright(rows) ? 1 : 0.4;
    button.append(svg, words);
    button.addEventListener("click", () => {
      const at = all("button", byId("lines")).indexOf(button);
      select(rows);
      show();
      all("button", byId("lines"))[at].focus();
    });
    item.append(button);
    return item;
  }));
}

// which rows have no line, and why
function showMissing(visible, layer, view) {
  const why = new Map();
  for (const row of visible) {
    const runs = view === "relative" ? data.rows[row].runs.map((number) => data.runs[number]) : drawnRuns(row);
    const reasons = runs.length ? runs.filter((run) => !run.layers[layer]).map((run) => run.problem || `no layer ${layer}`) : ["no such seed"];
    for (const reason of reasons) why.set(reason, new Set([...(why.get(reason) ?? []), data.rows[row].label]));
  }
  byId("without").textContent = [...why].map(([reason, labels]) => `No line for ${inFew([...labels], 12)}: ${reason}.`).join(" ");
}

function showTrajectories(visible) {
  if (!byId("mean")) return;
  const view = byId("view").value, layer = byId("layer").value, rank = Number(byId("channel").value);
  byId("how").textContent = HOW[view];
  byId("seed").disabled = view === "relative";
  const curves = (view === "relative" ? relativeCurves : rawCurves)(visible, layer, rank), lines = linesOf(curves);
  for (const name of STATISTICS) showStatistic(curves, lines, name, view);
  showLegend(lines);
  showMissing(visible, layer, view);
}

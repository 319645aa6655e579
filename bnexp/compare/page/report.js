"use strict";
// The report's filters, sorting and plots. Everything shown is in the JSON beside it; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const TONES = ["none", "good", "slow", "wrong"];  // the gravest is drawn last, on top
  const PALETTE = ["#2f8fb3", "#e8590c", "#37a169", "#c2255c", "#9c36b5", "#d69a00", "#5f6cc4", "#a8471f", "#12908e", "#f0308a", "#7a8b2f"];
  const SCALE = [[53, 184, 166], [47, 127, 193], [138, 63, 176], [214, 51, 108]];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const SVG_DASH = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };
  // lines closer than this part of the picture's height are one line to the eye, and drawn once
  const COINCIDE = 0.004;

  const boxes = all("fieldset[data-key]").map((set) => ({ key: set.dataset.key, inputs: all("input", set), set }));
  const filters = Object.fromEntries(boxes.map(({ key, inputs }) => [key, inputs.map((input) => input.value)]));
  const order = data.rows.map((_, i) => i);
  let selected = null;

  // ---- values

  // plotly reads a little HTML in its texts, and what runs are called is not ours to trust
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shorten = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const valueOf = (row, key) => (key === "verdict" ? row.verdict : row.keys[key]);
  const decoded = new Map();
  function floats(text) {
    if (!decoded.has(text)) {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      decoded.set(text, new Float32Array(bytes.buffer));
    }
    return decoded.get(text);
  }

  function shown() {
    const allowed = Object.fromEntries(
      boxes.map(({ key, inputs }) => [key, new Set(inputs.filter((i) => i.checked).map((i) => i.value))])
    );
    return order.filter((i) => boxes.every(({ key }) => allowed[key].has(valueOf(data.rows[i], key))));
  }

  function colours() {
    const key = $("colour").value;
    if (key === "verdict") return (row) => row.colour;
    const values = filters[key];
    const numeric = values.length > 1 && values.every((value) => value !== "" && isFinite(value));
    const place = (row) => values.indexOf(valueOf(row, key));
    if (!numeric) return (row) => PALETTE[place(row) % PALETTE.length];
    return (row) => {
      const at = (place(row) / (values.length - 1)) * (SCALE.length - 1);
      const low = Math.min(Math.floor(at), SCALE.length - 2);
      return "#" + [0, 1, 2].map((c) => Math.round(SCALE[low][c] + (at - low) * (SCALE[low + 1][c] - SCALE[low][c])).toString(16).padStart(2, "0")).join("");
    };
  }

  // ---- table

  function showTable(visible) {
    const seen = new Set(visible), key = data.keys[0];
    const grouped = data.keys.length > 1 && document.querySelector("th").getAttribute("aria-sort") !== "none";
    const starts = new Set(visible.filter((i, place) => place > 0 && valueOf(data.rows[i], key) !== valueOf(data.rows[visible[place - 1]], key)));
    // lines between groups only where there are groups: not where every row is one
    const lined = grouped && starts.size < visible.length - 1;
    all("tr.row").forEach((tr) => {
      tr.hidden = !seen.has(+tr.dataset.row);
      tr.classList.toggle("group", lined && starts.has(+tr.dataset.row));
      tr.classList.toggle("selected", +tr.dataset.row === selected);
      tr.nextElementSibling.hidden = tr.hidden || tr.querySelector(".open").getAttribute("aria-expanded") !== "true";
    });
    const runs = visible.reduce((sum, i) => sum + data.rows[i].runs.length, 0);
    const total = data.runs.length;
    $("count").textContent = runs === total ? (total === 1 ? "1 run." : `All ${total} runs.`) : `${runs} of ${total} runs.`;
  }

  function showLayerColumns() {
    const layer = $("layer")?.value ?? "";
    all(".layer-name").forEach((span) => { span.textContent = layer; });
    data.rows.forEach((row, i) => {
      all(`tr.row[data-row="${i}"] td.layer`).forEach((cell, number) => {
        const value = (row.layers[layer] ?? [null, null])[number];
        cell.textContent = value === null ? "-" : Number(value.toPrecision(3)).toString();
        cell.dataset.sort = value ?? "";
      });
    });
  }

  function sortBy(column, ascending) {
    const body = document.querySelector("tbody");
    const text = (i) => body.querySelector(`tr.row[data-row="${i}"]`).children[column].dataset.sort;
    const number = (value) => (value === "" ? NaN : Number(value));
    const sign = ascending ? 1 : -1;
    order.sort((i, j) => {
      const [a, b] = [text(i), text(j)], [x, y] = [number(a), number(b)];
      // what has no number stands last, whichever way
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
      return sign * (isNaN(x) ? (a < b ? -1 : a > b ? 1 : 0) : x - y) || i - j;
    });
    order.forEach((i) => body.append(...all(`tr[data-row="${i}"]`, body)));
    all("th").forEach((th, i) => th.setAttribute("aria-sort", i !== column ? "none" : ascending ? "ascending" : "descending"));
  }

  function open(row, expanded) {
    document.querySelector(`tr.row[data-row="${row}"] .open`).setAttribute("aria-expanded", String(expanded));
  }

  // ---- plots

  function look(extra) {
    const axis = { gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"), tickcolor: css("--line") };
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", dragmode: "zoom",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("--ink") },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--ink"), size: 12 }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--none"), activecolor: css("--ink") },
      ...extra,
    };
    layout.xaxis = { ...axis, ...extra.xaxis };
    layout.yaxis = { ...axis, ...extra.yaxis };
    return layout;
  }
  // named one by one: newer versions of plotly would add one that uploads the chart
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

  function showAccuracy(visible) {
    const colour = colours(), rows = visible.map((i) => data.rows[i]);
    const y = rows.map((_, place) => place);
    const known = (row) => row.accuracy !== null && row.batched !== null;
    const traces = [];
    rows.forEach((row, place) => {
      if (!known(row) || row.accuracy === row.batched) return;
      traces.push({ type: "scatter", mode: "lines", x: [row.accuracy, row.batched], y: [place, place], hoverinfo: "skip",
        line: { color: colour(row), width: 6 }, opacity: selected === null || visible[place] === selected ? 0.45 : 0.15 });
    });
    const hover = rows.map((row) => [
      `<b>${plain(row.label)}</b>`,
      `one by one ${figure(row.accuracy)}${row.spread ? ` ± ${figure(row.spread, 2)}` : ""}`,
      `batched ${figure(row.batched)}`,
      `${row.flips ?? "-"} predictions differ`,
      plain(row.verdict || "no verdict"),
    ].join("<br>"));
    const marks = { type: "scatter", y, customdata: visible, hovertext: hover, hoverinfo: "text", mode: "markers" };
    const faded = visible.map((i) => (selected === null || i === selected ? 1 : 0.3));
    traces.push({ ...marks, name: "batched", x: rows.map((row) => row.batched),
      marker: { symbol: "circle-open", size: 13, color: rows.map(colour), opacity: faded, line: { width: 2 } } });
    traces.push({ ...marks, name: "one by one", x: rows.map((row) => row.accuracy), mode: "markers+text",
      text: rows.map((row) => (known(row) && Math.abs(row.accuracy - row.batched) >= 0.0005 ? `${figure(row.accuracy - row.batched, 3, true)}  ` : "")),
      textposition: rows.map((row) => (row.accuracy < row.batched ? "middle left" : "middle right")),
      textfont: { color: css("--wrong") }, cliponaxis: false,
      marker: { symbol: "circle", size: 8, color: rows.map(colour), opacity: faded },
      error_x: { type: "data", array: rows.map((row) => row.spread ?? 0), visible: rows.some((row) => row.spread), color: css("--soft"), thickness: 1.5, width: 3 } });
    const label = (row) => {
      const text = `${plain(shorten(row.label, 44))} ${row.sign}`;
      return row.tone === "wrong" ? `<b><span style="color:${css("--wrong")}">${text}</span></b>` : row.tone === "slow" ? `<b><span style="color:${css("--slow")}">${text}</span></b>` : text;
    };
    Plotly.react("accuracy", traces, look({
      height: 70 + 21 * Math.max(rows.length, 2), margin: { l: 10, r: 20, t: 6, b: 44 },
      xaxis: { title: { text: "test accuracy" }, automargin: true, zeroline: false },
      yaxis: { tickmode: "array", tickvals: y, ticktext: rows.map(label), range: [Math.max(rows.length, 1) - 0.4, -0.6], automargin: true, zeroline: false, fixedrange: true },
    }), CONFIG);
  }

  const figure = (value, digits = 4, signed = false) =>
    value === null ? "-" : (signed && value > 0 ? "+" : "") + (digits === 2 ? Number(value.toPrecision(2)) : value.toFixed(digits)).toString().replace("-", "−");

  function nearest(steps, step) {
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1; else high = middle;
    }
    return low;
  }

  // the curves of the visible runs: [{row, run, channel, colour, mean, variance}], each statistic {x, y, population: {x, y}}
  function curvesOf(visible) {
    const layer = $("layer")?.value, rank = +$("channel").value, relative = $("view").value === "relative", colour = colours();
    const found = [];
    for (const i of visible) for (const number of data.rows[i].runs) {
      const run = data.runs[number], stored = run.layers[layer];
      if (!stored) continue;
      const steps = data.steps[run.steps], snapshots = data.steps[run.snapshots], channel = stored.channels[rank];
      const at = stored.distinct.indexOf(channel);
      const part = (name, count) => floats(stored[name]).subarray(at * count, (at + 1) * count);
      const curve = { row: i, run, channel, colour: colour(data.rows[i]) };
      const spread = part("population_variance", snapshots.length);
      for (const statistic of ["mean", "variance"]) {
        const y = part(`moving_${statistic}`, steps.length), population = part(`population_${statistic}`, snapshots.length);
        const moving = snapshots.map((step) => y[nearest(steps, step)]);
        const distance = (value, j) => (statistic === "mean" ? (value - population[j]) / Math.sqrt(spread[j]) : value / population[j]);
        curve[statistic] = relative ? { x: snapshots, y: moving.map(distance) } : { x: steps, y, population: { x: snapshots, y: population } };
      }
      found.push(curve);
    }
    return found;
  }

  // groups curves that no eye could tell apart: `series(curve, statistic)` gives what is drawn of a curve
  function coinciding(curves, series, statistics, apart) {
    const scale = (statistic) => (statistic === "variance" ? (value) => Math.log(Math.max(value, 1e-12)) : (value) => value);
    const height = (statistic) => {
      let low = Infinity, high = -Infinity;
      for (const curve of curves) for (const value of series(curve, statistic).y) if (isFinite(value)) {
        low = Math.min(low, scale(statistic)(value));
        high = Math.max(high, scale(statistic)(value));
      }
      return high - low || 1;
    };
    const nears = statistics.map((statistic) => {
      const near = height(statistic) * COINCIDE, scaled = scale(statistic);
      return (first, second) => {
        const [a, b] = [series(first, statistic), series(second, statistic)];
        return a.x === b.x && a.y.every((value, j) => Object.is(value, b.y[j]) || Math.abs(scaled(value) - scaled(b.y[j])) <= near);
      };
    });
    const groups = [];
    for (const curve of curves) {
      const group = groups.find(([first]) => !(apart && first.colour !== curve.colour) && nears.every((near) => near(first, curve)));
      if (group) group.push(curve); else groups.push([curve]);
    }
    return groups;
  }

  function nameOf(curve) {
    const row = data.rows[curve.row];
    return row.runs.length > 1 ? `${row.label} · seed ${curve.run.seed}` : row.label;
  }

  function names(group, most) {
    const unique = [...new Set(group.map(nameOf))];
    return unique.length <= most ? unique.join(", ") : `${unique.slice(0, most - 1).join(", ")} and ${unique.length - most + 1} more`;
  }

  function hoverOf(group, kind) {
    const lines = [...new Set(group.map(nameOf))].map((name) => plain(shorten(name, 60)));
    const listed = lines.length > 14 ? [...lines.slice(0, 13), `and ${lines.length - 13} more`] : lines;
    return `${kind}%{y:.5g} at step %{x}<br><b>${listed.join("<br>")}</b><br>channel ${group[0].channel}<extra></extra>`;
  }

  const isBright = (group) => selected === null || group.some((curve) => curve.row === selected);
  const gravity = (group) => TONES.indexOf(data.rows[group[0].row].tone);

  // the lines of both plots: curves that coincide in both, with one colour and dash
  function linesOf(curves) {
    const drawn = (curve, statistic) => curve[statistic], both = ["mean", "variance"];
    const groups = coinciding(curves, drawn, both, true).sort((a, b) => gravity(a) - gravity(b));
    const stacks = coinciding(groups.map(([first]) => first), drawn, both, false);
    const used = new Map();
    return groups.map((group) => {
      // a dash for each line of a colour; and what lies on a line of another colour has gaps that show it
      const colour = group[0].colour, beneath = stacks.find((stack) => stack.includes(group[0])).indexOf(group[0]);
      const number = Math.max(used.get(colour) ?? 0, Math.min(beneath, 1));
      used.set(colour, number + 1);
      return { group, colour, dash: DASHES[number % DASHES.length] };
    });
  }

  function showStatistic(curves, lines, statistic) {
    const relative = $("view").value === "relative", logarithmic = statistic === "variance", steps = $("log").checked;
    const traces = lines.map(({ group, colour, dash }) => ({
      type: "scatter", mode: "lines", name: names(group, 3), x: group[0][statistic].x, y: group[0][statistic].y, opacity: isBright(group) ? 1 : 0.15,
      // what is right is drawn broad and first: a wrong line that runs on it leaves its edges to be seen
      line: { color: colour, dash, width: (gravity(group) < 2 ? 4 : 2) + (selected !== null && isBright(group) ? 1 : 0) },
      hovertemplate: hoverOf(group, ""), customdata: Array.from(group[0][statistic].x, () => group[0].row), meta: "moving",
    }));
    const populations = relative ? [] : coinciding(curves, (curve, name) => curve[name].population, [statistic], false);
    for (const group of populations) {
      const { x, y } = group[0][statistic].population;
      // a population that lines of several colours share takes the colour of the ink
      const own = group.every((curve) => curve.colour === group[0].colour) && populations.length > 1;
      traces.push({ type: "scatter", mode: "markers", name: "population", x, y, meta: "population", opacity: isBright(group) ? 1 : 0.15,
        marker: { symbol: "circle-open", size: 7, color: own ? group[0].colour : css("--ink"), line: { width: 1.6 } }, hovertemplate: hoverOf(group, "population ") });
    }
    const right = logarithmic ? 1 : 0;
    const reference = { type: "line", xref: "paper", x0: 0, x1: 1, y0: right, y1: right, line: { color: css("--ink"), width: 1.5, dash: "dot" } };
    const title = statistic === "mean"
      ? (relative ? "mean error, in standard deviations" : "moving mean")
      : (relative ? "moving / population variance" : "moving variance");
    Plotly.react(statistic, traces, look({
      margin: { l: 10, r: 10, t: 10, b: 44 }, shapes: relative ? [reference] : [],
      xaxis: { title: { text: "training step" }, type: steps ? "log" : "linear", zeroline: false, automargin: true, dtick: steps ? 1 : undefined },
      yaxis: { title: { text: title }, type: logarithmic ? "log" : "linear", automargin: true, zeroline: false, exponentformat: "power", minexponent: 4 },
    }), CONFIG);
  }

  function showLegend(lines) {
    const list = $("lines");
    list.replaceChildren(...lines.map(({ group, colour, dash }) => {
      const item = document.createElement("li"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const stroke = document.createElementNS("http://www.w3.org/2000/svg", "line");
      svg.setAttribute("width", 30); svg.setAttribute("height", 8); svg.append(stroke);
      for (const [name, value] of Object.entries({ x1: 0, x2: 30, y1: 4, y2: 4, stroke: colour, "stroke-width": 3, "stroke-dasharray": SVG_DASH[dash] })) stroke.setAttribute(name, value);
      const words = document.createElement("span"), verdict = document.createElement("small");
      words.textContent = names(group, 4);
      words.title = names(group, 1000);
      verdict.textContent = ` ${[...new Set(group.map((curve) => data.rows[curve.row].verdict))].join(", ")}`;
      words.append(verdict);
      item.style.opacity = isBright(group) ? 1 : 0.4;
      item.append(svg, words);
      return item;
    }));
  }

  function showTrajectories(visible) {
    const relative = $("view").value === "relative";
    $("how").textContent = relative
      ? "How far the statistic that inference reads is from the population's, with the weights of that step. 0 for the mean and 1 for the variance (dotted) are right."
      : "Lines: the moving statistic, which inference reads. Circles: the population's, measured with the weights of that step. A line that sits on its circles can be trusted.";
    const curves = curvesOf(visible), lines = linesOf(curves);
    ["mean", "variance"].forEach((statistic) => showStatistic(curves, lines, statistic));
    showLegend(lines);
    const layer = $("layer")?.value, none = new Map();
    for (const i of visible) for (const number of data.rows[i].runs) {
      const run = data.runs[number];
      if (run.layers[layer]) continue;
      const why = run.problem || `no layer ${layer}`;
      none.set(why, [...(none.get(why) ?? []), data.rows[i].label]);
    }
    $("without").textContent = [...none].map(([why, labels]) => `No line for ${[...new Set(labels)].join(", ")}: ${why}.`).join(" ");
  }

  function showSwatches() {
    const key = $("colour").value, colour = colours();
    for (const box of boxes) box.inputs.forEach((input) => {
      const swatch = input.nextElementSibling, row = data.rows.find((one) => valueOf(one, key) === input.value);
      swatch.style.display = box.key === key ? "block" : "none";
      if (box.key === key && row) swatch.style.background = colour(row);
    });
  }

  function show() {
    const visible = shown();
    showTable(visible);
    showSwatches();
    showAccuracy(visible);
    showTrajectories(visible);
  }

  // ---- what the reader does

  for (const { inputs, set } of boxes) {
    set.addEventListener("change", show);
    all("[data-bulk]", set).forEach((button) => button.addEventListener("click", () => {
      inputs.forEach((input) => { input.checked = button.dataset.bulk === "all"; });
      show();
    }));
  }
  $("layer")?.addEventListener("change", () => { showLayerColumns(); show(); });
  ["colour", "channel", "view", "log"].forEach((id) => $(id).addEventListener("change", show));
  all("th").forEach((th, column) => th.addEventListener("click", () => {
    sortBy(column, th.getAttribute("aria-sort") !== "ascending");
    show();
  }));
  document.querySelector("tbody").addEventListener("click", (event) => {
    const tr = event.target.closest("tr.row");
    if (!tr) return;
    const row = +tr.dataset.row, expanded = tr.querySelector(".open").getAttribute("aria-expanded") === "true";
    open(row, !expanded);
    selected = expanded ? null : row;
    show();
  });
  $("expand").addEventListener("click", () => {
    const opening = $("expand").textContent === "open all rows";
    data.rows.forEach((_, row) => open(row, opening));
    $("expand").textContent = opening ? "close all rows" : "open all rows";
    selected = null;
    show();
  });
  $("reset").addEventListener("click", () => {
    boxes.forEach(({ inputs }) => inputs.forEach((input) => { input.checked = true; }));
    all("select").forEach((select) => { select.selectedIndex = 0; });
    data.rows.forEach((_, row) => open(row, false));
    $("log").checked = false;
    selected = null;
    start();
  });
  // plots take their ink from the page: again when it changes from light to dark, or to paper
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", show);

  function start() {
    $("colour").value = data.colour_by;
    showLayerColumns();
    sortBy(0, true);
    show();
  }
  // a browser that goes back keeps what was chosen, which would not match what is drawn
  $("reset").click();
  ["accuracy", "mean", "variance"].forEach((id) => $(id).on("plotly_click", (event) => {
    const row = event.points[0].customdata;
    if (row === undefined) return;
    selected = selected === row ? null : row;
    show();
  }));
})();

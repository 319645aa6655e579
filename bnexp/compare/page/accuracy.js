// ---- One by one against batched: a dumbbell for each row of the table, in the table's order.

// differences below this are not written beside their bar
const WORTH_WRITING = 0.0005;

function accuracyHover(row) {
  return [
    `<b>${plain(row.label)}</b>`,
    `one by one ${figure(row.accuracy)}${row.spread ? ` ± ${Number(row.spread.toPrecision(2))}, ${row.runs.length} seeds` : ""}`,
    `batched ${figure(row.batched)}`,
    `${row.flips ?? "-"} predictions differ`,
    plain(row.verdict || "no verdict"),
  ].join("<br>");
}

function accuracyTick(row) {
  const text = `${plain(shorten(row.label, innerWidth < 820 ? 38 : 44))} ${row.sign}`;
  if (row.tone === "wrong") return `<b><span style="color:${css("--wrong")}">${text}</span></b>`;
  return row.tone === "slow" ? `<b><span style="color:${css("--slow")}">${text}</span></b>` : text;
}

function showAccuracy(visible) {
  const colour = colours(), rows = visible.map((i) => data.rows[i]), y = rows.map((_, place) => place);
  const differs = (row) => row.accuracy !== null && row.batched !== null && Math.abs(row.accuracy - row.batched) >= WORTH_WRITING;
  const bars = rows.flatMap((row, place) => (differs(row) ? [{
    type: "scatter", mode: "lines", x: [row.accuracy, row.batched], y: [place, place], hoverinfo: "skip",
    line: { color: colour(row), width: 6 }, opacity: isBright([visible[place]]) ? 0.4 : 0.12,
  }] : []));
  const marks = { type: "scatter", y, customdata: visible.map((row) => [row]), hovertext: rows.map(accuracyHover), hoverinfo: "text" };
  const opacity = visible.map((row) => (isBright([row]) ? 1 : 0.25));
  const ends = rows.flatMap((row) => [row.accuracy, row.batched]).filter((value) => value !== null);
  const middle = (Math.min(...ends) + Math.max(...ends)) / 2;
  const height = 90 + 21 * Math.max(rows.length, 2);
  byId("accuracy").style.height = `${height}px`;
  Plotly.react("accuracy", [
    ...bars,
    {
      ...marks, name: "batched", mode: "markers", x: rows.map((row) => row.batched),
      marker: { symbol: "circle-open", size: 13, color: rows.map(colour), opacity, line: { width: 2 } },
    },
    {
      ...marks, name: "one by one", mode: "markers", x: rows.map((row) => row.accuracy),
      marker: { symbol: "circle", size: 8, color: rows.map(colour), opacity },
      error_x: { type: "data", array: rows.map((row) => row.spread ?? 0), visible: rows.some((row) => row.spread), color: css("--soft"), thickness: 1.5, width: 3 },
    },
  ], look({
    height, margin: { l: 10, r: 20, t: 28, b: 44 },
    annotations: rows.flatMap((row, place) => {
      if (!differs(row)) return [];
      // on the side where there is room
      const low = Math.min(row.accuracy - (row.spread ?? 0), row.batched), high = Math.max(row.accuracy + (row.spread ?? 0), row.batched), left = low > middle;
      const text = `${row.accuracy > row.batched ? "+" : ""}${figure(row.accuracy - row.batched, 3)}`;
      return [{ x: left ? low : high, y: place, text, showarrow: false, xanchor: left ? "right" : "left", xshift: left ? -10 : 10, font: { color: css("--wrong"), size: 11 } }];
    }),
    xaxis: { title: { text: "test accuracy (fraction right)" } },
    yaxis: { tickmode: "array", tickvals: y, ticktext: rows.map(accuracyTick), range: [Math.max(rows.length, 1) - 0.4, -0.6], fixedrange: true },
  }), CONFIG);
}

// ---- Curves of the visible rows: from the arrays to what is drawn, and which of them no eye could tell apart.

// lines closer than this part of the picture's height are one line to the eye, and drawn once
const COINCIDE = 0.006;

const STATISTICS = ["mean", "variance"];
const scaled = { mean: (value) => value, variance: (value) => Math.log(Math.max(value, 1e-12)) };

// the runs of a row that are drawn as recorded: those of the seed chosen
function drawnRuns(row) {
  const runs = data.rows[row].runs.map((number) => data.runs[number]), seed = chosen("seed", "first");
  if (seed === "all") return runs;
  return seed === "first" ? runs.slice(0, 1) : runs.filter((run) => `=${run.seed}` === seed);
}

// one channel of one run: {steps, snapshots, channel, mean: {moving, population}, variance: {moving, population}}
function channelOf(run, layer, rank) {
  const stored = run.layers[layer];
  if (!stored) return null;
  const steps = array(run.steps, Int32Array), snapshots = array(run.snapshots, Int32Array);
  const channel = stored.channels[Math.min(rank, stored.channels.length - 1)], at = stored.distinct.indexOf(channel);
  const part = (name, count) => array(stored[name], Float32Array).subarray(at * count, (at + 1) * count);
  const curve = { steps, snapshots, channel };
  for (const name of STATISTICS) curve[name] = { moving: part(`moving_${name}`, steps.length), population: part(`population_${name}`, snapshots.length) };
  return curve;
}

// as recorded: a curve for each run drawn
function rawCurves(visible, layer, rank) {
  const colour = colours();
  return visible.flatMap((row) => drawnRuns(row).flatMap((run) => {
    const one = channelOf(run, layer, rank);
    if (!one) return [];
    const curve = { row, seed: run.seed, channels: [one.channel], colour: colour(data.rows[row]) };
    for (const name of STATISTICS) curve[name] = { x: one.steps, y: one[name].moving, population: { x: one.snapshots, y: one[name].population } };
    return [curve];
  }));
}

function nearest(steps, step) {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1; else high = middle;
  }
  return low;
}

// how far one run's statistic is from its population's at every snapshot: in standard deviations, and as a ratio
function distances(one, name) {
  return Float64Array.from(one.snapshots, (step, j) => {
    const moving = one[name].moving[nearest(one.steps, step)], population = one[name].population[j];
    return name === "mean" ? (moving - population) / Math.sqrt(one.variance.population[j]) : moving / population;
  });
}

// distance from the population: a curve for each row, the mean of its seeds with their spread
function relativeCurves(visible, layer, rank) {
  const colour = colours();
  return visible.flatMap((row) => {
    const ones = data.rows[row].runs.map((number) => channelOf(data.runs[number], layer, rank)).filter(Boolean);
    // seeds of one row measure at the same steps; if ever they do not, the first speaks
    const alike = ones.filter((one) => one.snapshots === ones[0].snapshots);
    if (!alike.length) return [];
    const curve = { row, n: alike.length, channels: alike.map((one) => one.channel), colour: colour(data.rows[row]) };
    for (const name of STATISTICS) {
      const values = alike.map((one) => distances(one, name)), n = values.length;
      const y = values[0].map((_, j) => values.reduce((sum, one) => sum + one[j], 0) / n);
      const spread = y.map((mean, j) => (n > 1 ? Math.sqrt(values.reduce((sum, one) => sum + (one[j] - mean) ** 2, 0) / (n - 1)) : 0));
      curve[name] = { x: alike[0].snapshots, y, spread };
    }
    return [curve];
  });
}

// groups curves that look the same: `series(curve, name)` gives what is drawn of a curve; `apart` keeps colours apart
function coinciding(curves, series, names, apart) {
  const nears = names.map((name) => {
    const scale = scaled[name];
    let low = Infinity, high = -Infinity;
    for (const curve of curves) for (const value of series(curve, name).y) if (isFinite(value)) {
      low = Math.min(low, scale(value));
      high = Math.max(high, scale(value));
    }
    const near = (high - low || 1) * COINCIDE;
    return (first, second) => {
      const [a, b] = [series(first, name), series(second, name)];
      return a.x === b.x && a.y.every((value, j) => Object.is(value, b.y[j]) || Math.abs(scale(value) - scale(b.y[j])) <= near);
    };
  });
  const groups = [];
  for (const curve of curves) {
    const group = groups.find(([first]) => !(apart && first.colour !== curve.colour) && nears.every((near) => near(first, curve)));
    if (group) group.push(curve); else groups.push([curve]);
  }
  return groups;
}

// what a group's curves are called: "ema, contrib · 0.9 · none", as few products of values as they make
function namesOf(group) {
  const rows = [...new Set(group.map((curve) => curve.row))];
  const severalSeeds = chosen("seed", "first") === "all" && group.some((curve) => curve.seed !== undefined);
  if (!data.keys.length) return severalSeeds ? [...new Set(group.map((curve) => `seed ${curve.seed}`))] : [data.rows[rows[0]].label];
  let sets = group.map((curve) => [...data.keys.map((key) => [valueOf(data.rows[curve.row], key) || "-"]), ...(severalSeeds ? [[`seed ${curve.seed}`]] : [])]);
  for (let key = 0; key < sets[0].length; key++) {
    const merged = new Map();
    for (const one of sets) {
      const others = JSON.stringify(one.filter((_, i) => i !== key));
      const known = merged.get(others);
      if (known) known[key] = [...new Set([...known[key], ...one[key]])]; else merged.set(others, [...one]);
    }
    sets = [...merged.values()];
  }
  return sets.map((one) => one.map((values) => values.join(", ")).join(" · "));
}

// Scales and axes.
function scale(low, high, from, to, log, unit) {
  const f = log ? Math.log10 : (v) => v;
  const [a, b] = [f(low), f(high)];
  const map = (v) => from + (f(v) - a) / (b - a || 1) * (to - from);
  const count = Math.max(3, Math.floor(Math.abs(to - from) / (from > to ? 40 : 90)));  // upwards words need less room
  map.ends = [from, to];
  map.ticks = log ? logTicks(low, high, unit, count) : unit === "bytes" ? byteTicks(low, high, count) : linearTicks(low, high, count);
  return map;
}
function linearTicks(low, high, count = 5) {
  const step0 = (high - low) / count, power = 10 ** Math.floor(Math.log10(step0 || 1));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= step0 * 0.999) || power;
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) ticks.push(Math.abs(t) < step * 1e-9 ? 0 : Number(t.toPrecision(12)));
  return ticks;
}
// Round in the unit that is shown.
function byteTicks(low, high, count) {
  const unit = 1024 ** Math.min(4, Math.max(0, Math.floor(Math.log(high) / Math.log(1024))));
  return linearTicks(low / unit, high / unit, count).map((t) => t * unit);
}
function logTicks(low, high, unit, count) {
  const ticks = [];
  if (unit === "bytes") {
    const [first, last] = [Math.ceil(Math.log2(low)), Math.floor(Math.log2(high))];
    const step = Math.max(1, Math.ceil((last - first + 1) / count));
    for (let p = first; p <= last; p += step) ticks.push(2 ** p);
    return ticks;
  }
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
    for (const m of [1, 2, 5]) { const t = m * 10 ** p; if (t >= low && t <= high) ticks.push(t); }
  return ticks.length > count ? ticks.filter((t) => /^1(e|0|$)/.test(String(t)) || String(t).replace(/[0.]/g, "") === "1") : ticks;
}
function extent(numbers, pad, log) {
  const all = numbers.flatMap((n) => [n.value, n.low, n.high]).filter((v) => v !== null && v !== undefined && (!log || v > 0));
  let [low, high] = [Math.min(...all), Math.max(...all)];
  if (log) return [low / (1 + pad), high * (1 + pad)];
  const room = (high - low || Math.abs(high) || 1) * pad;
  return [low - room, high + room];
}

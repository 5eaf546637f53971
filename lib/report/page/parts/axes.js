// Scales and axes.
function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (v) => v;
  const [a, b] = [f(low), f(high)];
  const map = (v) => from + (f(v) - a) / (b - a || 1) * (to - from);
  map.ticks = log ? logTicks(low, high) : linearTicks(low, high);
  return map;
}
function linearTicks(low, high, count = 5) {
  const step0 = (high - low) / count, power = 10 ** Math.floor(Math.log10(step0 || 1));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= step0) || power;
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) ticks.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return ticks;
}
function logTicks(low, high) {
  const ticks = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
    for (const m of [1, 2, 5]) { const t = m * 10 ** p; if (t >= low && t <= high) ticks.push(t); }
  return ticks;
}
function extent(numbers, pad, log) {
  const all = numbers.flatMap((n) => [n.value, n.low, n.high]).filter((v) => v !== null && v !== undefined && (!log || v > 0));
  let [low, high] = [Math.min(...all), Math.max(...all)];
  if (log) return [low / (1 + pad), high * (1 + pad)];
  const room = (high - low || Math.abs(high) || 1) * pad;
  return [low - room, high + room];
}

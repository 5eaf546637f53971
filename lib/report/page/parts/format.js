// Numbers in words.
const shorten = (name, limit = 28) => name.length <= limit ? name : name.slice(0, limit / 2 - 1) + "…" + name.slice(1 - limit / 2);
const digits = (value) => {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2);
  const places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
};
const bytes = (value) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (value >= 1024 && i < units.length - 1) { value /= 1024; i++; }
  return `${i ? value.toFixed(2) : value} ${units[i]}`;
};
const seconds = (s) => s < 60 ? `${s.toFixed(s < 10 ? 2 : 1)} s` : `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, "0")} s`;
const show = (value, unit) => unit === "bytes" ? bytes(value) : unit === "seconds" ? seconds(value) : unit === "count" ? value.toLocaleString("en-US") : unit === "fraction" ? `${(100 * value).toFixed(1)}%` : digits(value);
const explain = (n) => {
  const parts = [`${n.provenance || "measured"}`];
  if (n.value !== null && n.value !== undefined) parts.push(`value ${n.value}`);
  if (n.low !== undefined && n.low !== null) parts.push(`${Math.round(100 * (n.confidence || 0.95))}% interval ${n.low} to ${n.high}${n.method ? ` (${n.method})` : ""}`);
  if (n.range) parts.push(`the model behind it may be off: from ${n.range.low} to ${n.range.high}, the same way for all numbers of this run`);
  if (n.marks && n.marks.length) parts.push(`less sure: ${n.marks.join(", ")}`);
  if (n.n) parts.push(`n = ${n.n}`);
  if (n.source) parts.push(`from step ${n.source}`);
  if (n.help) parts.push(n.help);
  if (n.reason) parts.push(n.reason);
  return parts.join(" · ");
};

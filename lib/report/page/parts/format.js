// Numbers in words.
const shorten = (name, limit = 28) => name.length <= limit ? name : name.slice(0, limit / 2 - 1) + "…" + name.slice(1 - limit / 2);
const digits = (value) => {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2);
  const places = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
};
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];
const bytes = (value) => {
  let i = 0;
  while (value >= 1024 && i < BYTES.length - 1) { value /= 1024; i++; }
  return `${i ? value.toFixed(2) : value} ${BYTES[i]}`;
};
const seconds = (s) => s < 0.1 ? `${digits(s * 1000)} ms` : s < 60 ? `${s.toFixed(s < 10 ? 2 : 1)} s` : `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, "0")} s`;
const show = (value, unit) => unit === "bytes" ? bytes(value) : unit === "seconds" ? seconds(value) : unit === "count" ? value.toLocaleString("en-US") : unit === "fraction" ? `${(100 * value).toFixed(1)}%` : digits(value);
// On an axis: no more digits than the step needs.
const onAxis = (value, unit) => {
  const trim = (v) => String(Number(v.toPrecision(6)));
  if (unit === "fraction") return `${trim(100 * value)}%`;
  if (unit !== "bytes") return Math.abs(value) >= 1e5 ? Number(value.toPrecision(6)).toLocaleString("en-US") : trim(value);
  let i = 0;
  while (Math.abs(value) >= 1024 && i < BYTES.length - 1) { value /= 1024; i++; }
  return `${trim(value)} ${BYTES[i]}`;
};
const known = (n) => n !== null && n !== undefined && n.value !== null && n.value !== undefined;
const explain = (n) => {
  const parts = [`${n.provenance || "measured"}`];
  if (known(n)) parts.push(`value ${n.value}`);
  if (n.low !== undefined && n.low !== null) parts.push(`${Math.round(100 * (n.confidence || 0.95))}% interval ${n.low} to ${n.high}${n.method ? ` (${n.method})` : ""}`);
  if (n.range) parts.push(`the model behind it may be off: from ${n.range.low} to ${n.range.high}, the same way for all numbers of this run`);
  if (n.marks && n.marks.length) parts.push(`less sure: ${n.marks.join(", ")}`);
  if (n.n) parts.push(`n = ${n.n}`);
  if (n.source) parts.push(`from step ${n.source}`);
  if (n.help) parts.push(n.help);
  if (n.reason) parts.push(n.reason);
  return parts.join(" · ");
};

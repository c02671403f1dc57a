// Numbers as a reader wants them; the same rules as mapscope/units.py.

const STEPS: readonly [string, number][] = [
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
];

/** Bytes as text, in SI units: `40.1 MB`. */
export function bytes(size: number): string {
  for (const [unit, step] of STEPS) {
    if (Math.abs(size) >= step) return `${(size / step).toFixed(1)} ${unit}`;
  }
  return `${size} B`;
}

/** An integer with commas. */
export function count(value: number | bigint): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** Bytes in full: `40,123,456 bytes`. */
export function exactBytes(size: number | bigint): string {
  return `${count(size)} bytes`;
}

/** A share as text: `12 %`, `0.3 %` below one; empty where there is no whole. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "";
  const share = (100 * part) / whole;
  if (share > 0 && share < 0.1) return "<0.1 %";
  return share > 0 && share < 1 ? `${share.toFixed(1)} %` : `${share.toFixed(0)} %`;
}

/** `1 map`, `2 maps`. */
export function plural(number: number, word: string, many = `${word}s`): string {
  return `${count(number)} ${number === 1 ? word : many}`;
}

/** Seconds as Go's traces say them: `41 minutes`. */
export function duration(seconds: number): string {
  if (Math.abs(seconds) < 120) return `${seconds.toFixed(0)} s`;
  return Math.abs(seconds) < 7200 ? `${(seconds / 60).toFixed(0)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
}

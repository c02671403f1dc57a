// Numbers on the page: short for the reader, exact in the title and in `data-value` for whoever reads the page itself.

import { bytes, count, exactBytes, percent } from "../format.ts";

export function Bytes({ n, class: name }: { n: number; class?: string }) {
  return (
    <span class={`num ${name ?? ""}`} title={exactBytes(n)} data-value={n}>
      {bytes(n)}
    </span>
  );
}

export function Count({ n }: { n: number }) {
  return (
    <span class="num" data-value={n}>
      {count(n)}
    </span>
  );
}

export function Share({ of, whole }: { of: number; whole: number }) {
  return <span class="num dim">{percent(of, whole)}</span>;
}

/** A thin bar beside a number. */
export function Bar({ of, whole, class: name }: { of: number; whole: number; class?: string }) {
  const share = whole > 0 ? Math.min(100, (100 * of) / whole) : 0;
  return (
    <span class={`bar ${name ?? ""}`} aria-hidden="true">
      <span style={{ width: `${share}%` }} />
    </span>
  );
}

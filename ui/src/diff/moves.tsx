// Movers as pairs of bars, and the details of one of them.

import { bytes, count } from "../format.ts";
import { Change, Facts } from "../kinds/bits.tsx";
import { Chain } from "../parts/chain.tsx";
import type { Moves } from "./model.ts";

const SHOWN = 12;

/** The largest changes: the old and the new bytes of each on one scale. */
export function Movers({ moves, show }: { moves: Moves; show: (row: number) => void }) {
  const rows = moves.rows
    .filter((row) => moves.change(row, "bytes") !== 0)
    .sort((a, b) => Math.abs(moves.change(b, "bytes")) - Math.abs(moves.change(a, "bytes")))
    .slice(0, SHOWN);
  if (!rows.length) return <p>No map takes more or less bytes than it did.</p>;
  const most = Math.max(...rows.flatMap((row) => [moves.amount(row, "bytes", "then"), moves.amount(row, "bytes", "now")]), 1);
  return (
    <figure aria-label="The largest movers">
      <figcaption>
        <ul class="legend steps">
          <li>
            <span class="swatch k-swatch-then" aria-hidden="true" /> old bytes
          </li>
          <li>
            <span class="swatch k-swatch-up" aria-hidden="true" /> new bytes, more
          </li>
          <li>
            <span class="swatch k-swatch-now" aria-hidden="true" /> new bytes, less
          </li>
          <li>the scale ends at {bytes(most)}</li>
        </ul>
      </figcaption>
      <ol class="k-movers">
        {rows.map((row) => {
          const [then, now] = [moves.amount(row, "bytes", "then"), moves.amount(row, "bytes", "now")];
          return (
            <li key={row}>
              <button type="button" onClick={() => show(row)} data-mover={moves.key(row)}>
                <span>
                  <span class="mono">{moves.type(row)}</span>
                  <small>{moves.owner(row)}</small>
                </span>
                <svg class="k-pair" viewBox="0 0 100 26" preserveAspectRatio="none" aria-hidden="true">
                  <rect class="k-then" x="0" y="2" height="9" width={(100 * then) / most} />
                  <rect class={now > then ? "k-up" : "k-now"} x="0" y="14" height="9" width={(100 * now) / most} />
                </svg>
                <span class="num">
                  <Change n={now - then} />
                  <small>
                    {then ? bytes(then) : "new"} → {now ? bytes(now) : "gone"}
                  </small>
                </span>
              </button>
            </li>
          );
        })}
      </ol>
    </figure>
  );
}

type Kind = "count" | "bytes" | "hex";

const CLASSIC: readonly (readonly [string, string, Kind])[] = [
  ["count", "count", "count"],
  ["B", "B", "count"],
  ["flags", "flags", "count"],
  ["noverflow", "noverflow", "count"],
  ["buckets", "buckets", "hex"],
  ["oldbuckets", "oldbuckets", "hex"],
  ["nevacuate", "nevacuate", "count"],
  ["noldbuckets", "old buckets", "count"],
  ["old_evacuated", "of them evacuated", "count"],
];
const SWISS: readonly (readonly [string, string, Kind])[] = [
  ["count", "used", "count"],
  ["dirPtr", "dirPtr", "hex"],
  ["dirLen", "dirLen", "count"],
  ["globalDepth", "globalDepth", "count"],
  ["tables", "tables", "count"],
  ["groups", "groups", "count"],
  ["tombstones", "tombstones", "count"],
  ["growth_left", "growth left", "count"],
];
const SIZES: readonly (readonly [string, string, Kind])[] = [
  ["capacity", "slots", "count"],
  ["total_bytes", "bytes", "bytes"],
  ["needed_bytes", "needed for its entries", "bytes"],
  ["waste_bytes", "beyond that", "bytes"],
  ["header_bytes", "header", "bytes"],
  ["array_bytes", "arrays", "bytes"],
  ["old_array_bytes", "old array", "bytes"],
  ["overflow_bytes", "overflow buckets", "bytes"],
  ["old_overflow_bytes", "old overflow buckets", "bytes"],
  ["extra_bytes", "extra", "bytes"],
  ["table_bytes", "tables", "bytes"],
  ["directory_bytes", "directory", "bytes"],
  ["indirect_bytes", "keys and values by pointer", "bytes"],
];

/** The headers of both sides, and who holds it. */
export function Details({ moves, row }: { moves: Moves; row: number }) {
  const swiss = (moves.word(row, "generation", "now") ?? moves.word(row, "generation", "then")) === "swiss";
  const many = Math.max(moves.amount(row, "maps", "then"), moves.amount(row, "maps", "now"));
  const lines = [["address", "address", "hex"] as const, ...(swiss ? SWISS : CLASSIC), ...SIZES].filter(
    ([name, , kind], at) =>
      at < 10 || kind === "count" || (["then", "now"] as const).some((side) => (moves.field(row, name, side) ?? 0) !== 0),
  );
  const chain = moves.chain(row);
  const moved = (name: string) => moves.there(row, "then") && moves.there(row, "now") && moves.hex(row, name, "then") !== moves.hex(row, name, "now");
  const value = (name: string, kind: Kind, side: "then" | "now") => {
    const found = moves.field(row, name, side);
    if (found === null) return <td class="right dim">–</td>;
    return (
      <td class="right num" data-value={kind === "hex" ? (moves.hex(row, name, side) ?? "") : found}>
        {kind === "hex" ? <span class="mono">{found === 0 ? "nil" : moves.hex(row, name, side)}</span> : kind === "bytes" ? bytes(found) : count(found)}
      </td>
    );
  };
  return (
    <>
      <Facts
        rows={[
          ["matched by", moves.matched(row) ?? "in one snapshot only"],
          ["maps", `${count(moves.amount(row, "maps", "then"))} → ${count(moves.amount(row, "maps", "now"))}`],
          ["entries", `${count(moves.amount(row, "entries", "then"))} → ${count(moves.amount(row, "entries", "now"))}`],
          ["bytes", `${bytes(moves.amount(row, "bytes", "then"))} → ${bytes(moves.amount(row, "bytes", "now"))}`],
          ["beyond need", `${bytes(moves.amount(row, "waste", "then"))} → ${bytes(moves.amount(row, "waste", "now"))}`],
          ["state", `${moves.word(row, "state", "then") ?? "–"} → ${moves.word(row, "state", "now") ?? "–"}`],
        ]}
      />
      {moves.stalled(row) ? (
        <p class="warn">Stalled: oldbuckets and nevacuate are the same in both snapshots. Every write to the map would have moved them on.</p>
      ) : null}
      {chain.length ? (
        <>
          <h3 class="k-small">Held by</h3>
          <Chain steps={chain} />
        </>
      ) : null}
      <h3 class="k-small">{many > 1 ? "Headers of the largest of them" : "Headers"}</h3>
      <table class="plain" data-headers>
        <thead>
          <tr>
            <th scope="col">
              <span class="k-hidden">field</span>
            </th>
            <th scope="col" class="right">
              old
            </th>
            <th scope="col" class="right">
              new
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map(([name, words, kind]) => (
            <tr key={name} data-field={name} class={moved(name) ? "k-differs" : undefined}>
              <th scope="row" class={kind === "bytes" ? "" : "mono"}>
                {words}
              </th>
              {value(name, kind, "then")}
              {value(name, kind, "now")}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

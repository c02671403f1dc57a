// Places that hold map memory, over time.

import { useMemo, useState } from "preact/hooks";
import { bytes, count, plural } from "../format.ts";
import { base, Choice } from "../kinds/bits.tsx";
import { type Clock, clock } from "../kinds/clock.ts";
import { Plot, type Line } from "../kinds/plot.tsx";
import type { Pack } from "../pack.ts";
import { Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { NO_TYPE, type ProfileValues } from "./model.ts";

const SHOWN = 6;

export function Series({ pack, values }: { pack: Pack; values: ProfileValues }) {
  const { series } = values;
  const times = pack.section("times");
  const [what, set] = useState<"places" | "sums">("places");
  const known = !!series?.known_times && rising(pack);
  const axis = useMemo(() => axisOf(pack, known), [pack]);
  const places = useMemo(() => Array.from({ length: times.rows }, (_, row) => (known ? times.col("seconds").number(row) - axis.zero : row + 1)), [pack]);
  const lines = useMemo(() => (what === "places" ? ofPlaces(pack) : ofSums(pack)), [pack, what]);
  if (!series) return null;
  return (
    <Part
      id="series"
      title="Over time"
      lead={
        <>
          Map memory in use of {plural(series.places, "place")} (function and map type) over {plural(series.profiles, "profile")}
          {series.shown < series.profiles ? `, ${count(series.shown)} of them evenly spread` : ""}
          {known ? "" : "; the profiles do not all say when they were taken, so they stand in order"}.
          {series.rest ? ` The ${count(series.rest)} smallest places are one line.` : ""}
        </>
      }
    >
      <Choice
        label="Lines"
        options={[
          ["places", "by place"],
          ["sums", "all maps and the heap"],
        ]}
        value={what}
        change={set}
      />
      <Plot
        key={what}
        id="over-time"
        label="Map bytes in use over time"
        places={places}
        lines={lines}
        across={axis}
        up={{ label: "bytes in use", text: (value) => bytes(Math.round(value)) }}
      />
      {values.rising.length ? (
        <>
          <h3>Only rising</h3>
          <ul class="k-rising">
            {values.rising.slice(0, 20).map((one, at) => (
              <li key={at}>
                <span class="mono">{one.function}</span>, <span class="mono">{one.type ?? NO_TYPE}</span>: <Bytes n={one.first_bytes} /> →{" "}
                <Bytes n={one.last_bytes} />
              </li>
            ))}
          </ul>
        </>
      ) : null}
      <details>
        <summary>The profiles</summary>
        <div class="table-box" role="region" aria-label="The profiles" tabIndex={0}>
          <table>
            <tbody>
              {places.slice(0, 200).map((at, row) => (
                <tr key={row}>
                  <th scope="row" class="num">
                    {axis.text(at)}
                  </th>
                  <td>{base(times.col("origin").text(row) ?? "")}</td>
                  <td class="right">
                    <Bytes n={times.col("maps_bytes").number(row)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </Part>
  );
}

/** Times where all are known and rise, else the numbers of the profiles. */
function axisOf(pack: Pack, known: boolean): Clock {
  if (!known) return { label: "profile", text: (value) => (Number.isInteger(value) ? count(value) : ""), time: false, zero: 0 };
  const seconds = pack.section("times").col("seconds");
  return clock(Array.from({ length: seconds.length }, (_, row) => seconds.number(row)));
}

/** Whether each profile is later than the one before: an axis of time needs that. */
function rising(pack: Pack): boolean {
  const seconds = pack.section("times").col("seconds");
  for (let row = 1; row < seconds.length; row++) if (seconds.number(row) <= seconds.number(row - 1)) return false;
  return true;
}

function ofPlaces(pack: Pack): Line[] {
  const lines = pack.section("lines");
  const many = pack.section("times").rows;
  const points = pack.section("points").col("bytes");
  const out = Array.from({ length: lines.rows }, (_, row): Line => {
    const values = Array.from({ length: many }, (_, at) => points.number(row * many + at));
    return {
      id: String(row),
      label: `${lines.col("function").text(row) ?? "?"}  ${lines.col("type").text(row) ?? NO_TYPE}`,
      values,
      colour: row,
      shown: row < SHOWN,
    };
  });
  const rest = pack.section("times").col("rest_bytes");
  if (rest.sum() > 0) {
    out.push({ id: "rest", label: "all smaller places", values: Array.from({ length: many }, (_, at) => rest.number(at)), colour: 7, dash: "dashed", shown: false });
  }
  return out;
}

function ofSums(pack: Pack): Line[] {
  const times = pack.section("times");
  const column = (name: string) => Array.from({ length: times.rows }, (_, row) => times.col(name).number(row));
  return [
    { id: "heap", label: "heap in use", values: column("heap_bytes"), colour: 7 },
    { id: "maps", label: "map memory in use", values: column("maps_bytes"), colour: 0 },
  ];
}

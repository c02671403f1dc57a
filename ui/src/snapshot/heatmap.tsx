// An array of a map, cell by cell: how full its buckets or groups are, where chains are long, what a growth has moved.

import { count, percent, plural } from "../format.ts";
import type { Model } from "./model.ts";

const SLOTS = 8;

export function Arrays({ model, row }: { model: Model; row: number }) {
  const arrays = model.about("arrays", row);
  if (!arrays.length && !model.maps.col("capacity").number(row)) return <p class="dim">It has no array.</p>;
  if (!arrays.length && !model.values.looked_at) return <p class="dim">Its arrays cannot be read: nothing tells their type.</p>;
  if (!arrays.length) {
    return (
      <p class="dim">
        This page has the cells of {plural(model.values.looked_at, "map")} only. <code>mapscope map</code> and{" "}
        <code>mapscope serve</code> show any.
      </p>
    );
  }
  return (
    <>
      {arrays.map((at) => (
        <HeatMap key={at} model={model} at={at} swiss={model.maps.col("generation").text(row) === "swiss"} />
      ))}
      <ul class="legend steps" aria-label="Colours: how full">
        {["empty", "to 1/4", "to 1/2", "to 3/4", "to full", "more than full"].map((words, step) => (
          <li key={words}>
            <span class={`swatch heat-${step}`} aria-hidden="true" /> {words}
          </li>
        ))}
        <li>
          <span class="swatch heat-gone" aria-hidden="true" /> evacuated
        </li>
      </ul>
    </>
  );
}

interface Cell {
  units: number;
  entries: number;
  extra: number;
  gone: number;
}

function cellsOf(model: Model, at: number): Cell[] {
  const array = model.pack.section("arrays");
  const cells = model.pack.section("cells");
  const from = array.col("cell").number(at);
  return Array.from({ length: array.col("cells").number(at) }, (_, cell) => ({
    units: cells.col("units").number(from + cell),
    entries: cells.col("entries").number(from + cell),
    extra: cells.col("extra").number(from + cell),
    gone: cells.col("gone").number(from + cell),
  }));
}

function heat(cell: Cell): string {
  if (cell.gone * 2 > cell.units) return "heat-gone";
  const share = cell.entries / Math.max(cell.units * SLOTS, 1);
  return `heat-${share > 1 ? 5 : Math.ceil(share * 4)}`;
}

function HeatMap({ model, at, swiss }: { model: Model; at: number; swiss: boolean }) {
  const array = model.pack.section("arrays");
  const name = array.col("name").text(at) ?? "";
  const units = array.col("units").number(at);
  const seen = array.col("seen").number(at);
  const entries = array.col("entries").number(at);
  const cells = cellsOf(model, at);
  const unit = swiss ? "group" : "bucket";
  const extra = swiss ? "tombstone" : "overflow bucket";
  const gone = cells.reduce((sum, cell) => sum + cell.gone, 0);
  const more = cells.reduce((sum, cell) => sum + cell.extra, 0);
  const each = Math.ceil(seen / Math.max(cells.length, 1));
  const words = [
    `${plural(units, unit)}, ${plural(entries, "entry", "entries")} in ${seen < units ? `the ${count(seen)} looked at` : "them"}`,
    `${percent(entries, seen * SLOTS) || "0 %"} of the slots`,
    more ? plural(more, extra) : "",
    gone ? `${plural(gone, "bucket")} evacuated` : "",
    each > 1 ? `a cell is ${plural(each, unit)}` : `a cell is a ${unit}`,
    array.col("complete").number(at) ? "" : "part of it is not in the evidence and shows as empty",
  ].filter(Boolean);
  const told = (cell: Cell, number: number) =>
    `cell ${number + 1}: ${plural(cell.units, unit)}, ${plural(cell.entries, "entry", "entries")}` +
    (cell.extra ? `, ${plural(cell.extra, extra)}` : "") +
    (cell.gone ? `, ${count(cell.gone)} evacuated` : "");
  return (
    <figure class="heatmap" data-array={name} data-entries={entries} data-units={units}>
      <figcaption>
        <strong class="mono">{name}</strong>: {words.join("; ")}
      </figcaption>
      <div class="cells" role="img" aria-label={`${name}: ${words.join("; ")}`}>
        {cells.map((cell, number) => (
          <span key={number} class={`${heat(cell)}${cell.extra ? " extra" : ""}`} title={told(cell, number)} />
        ))}
      </div>
    </figure>
  );
}

/** How many buckets or groups hold how many entries, and how long their chains are. */
export function Histograms({ model, row }: { model: Model; row: number }) {
  const rows = model.about("histograms", row);
  const section = model.pack.section("histograms");
  const of = (what: string) => rows.filter((at) => section.col("what").text(at) === what);
  const swiss = model.maps.col("generation").text(row) === "swiss";
  const made: readonly (readonly [string, string, string])[] = [
    ["occupancy", swiss ? "Groups by entries" : "Buckets by entries, chains included", "entries"],
    ["chains", "Buckets by overflow buckets", "overflow buckets"],
    ["keys", "Kinds of keys, sampled", ""],
    ["values", "Kinds of values, sampled", ""],
  ];
  return (
    <div class="histograms">
      {made.map(([what, title, unit]) => {
        const found = of(what);
        if (!found.length) return null;
        const most = Math.max(...found.map((at) => section.col("count").number(at)), 1);
        return (
          <table key={what} class="plain" data-histogram={what}>
            <caption>{title}</caption>
            <tbody>
              {found.map((at) => (
                <tr key={at}>
                  <th scope="row" class={unit ? "num" : "mono"}>
                    {section.col("name").text(at)}
                  </th>
                  <td class="bar-cell">
                    <span class="bar" aria-hidden="true">
                      <span style={{ width: `${(100 * section.col("count").number(at)) / most}%` }} />
                    </span>
                  </td>
                  <td class="right num">{count(section.col("count").number(at))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        );
      })}
    </div>
  );
}

// The page of two heap profiles: which places hold more map memory, which less.

import { useMemo, useState } from "preact/hooks";
import { bytes, count, duration, percent, plural } from "../format.ts";
import { apart, base, Change, Choice, place, Remarks, signed, useAnchors } from "../kinds/bits.tsx";
import { type Field, Grid } from "../kinds/grid.tsx";
import type { Pack } from "../pack.ts";
import { type Links, Masthead } from "../parts/masthead.tsx";
import { Bytes, Count } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { type DiffValues, NO_TYPE } from "../profile/model.ts";
import { Suspects } from "../profile/suspects.tsx";
import { type PageProps, register } from "../registry.ts";
import "../style/kinds.css";

const LINKS: Links = [
  ["sums", "Sums"],
  ["suspects", "Suspects"],
  ["moves", "What moved"],
];
const REMARKS: Links = [...LINKS, ["remarks", "Remarks"]];
const SHOWN = 12;

function ProfileDiff({ source }: PageProps) {
  const values = source.pack.values as unknown as DiffValues;
  const [open, setOpen] = useState<number | null>(null);
  useAnchors();
  return (
    <>
      <Masthead title="Two profiles" pack={source.pack} links={values.notes.length + values.next.length ? REMARKS : LINKS} />
      <main id="main" tabIndex={-1}>
        <Verdict values={values} />
        <SuspectsPart values={values} />
        <Moved pack={source.pack} values={values} open={open} setOpen={setOpen} />
        <Remarks notes={values.notes} next={values.next} />
      </main>
    </>
  );
}

function Verdict({ values }: { values: DiffValues }) {
  const { old_maps: then, new_maps: now } = values;
  const change = now.inuse_bytes - then.inuse_bytes;
  const names = apart(values.old.origin, values.new.origin);
  const rows = [
    ["maps", "map memory in use", then.inuse_bytes, now.inuse_bytes],
    ["heap", "heap in use", values.old_heap.inuse_bytes, values.new_heap.inuse_bytes],
    ["alloc", "map memory allocated", then.alloc_bytes, now.alloc_bytes],
  ] as const;
  return (
    <>
      <section class="k-head" aria-labelledby="verdict-title">
        <h1 id="verdict-title">
          {change === 0 ? "Map memory in use is as it was" : `Map memory ${change > 0 ? "grew" : "shrank"} by ${bytes(Math.abs(change))}`}
          {change && then.inuse_bytes ? `, ${percent(Math.abs(change), then.inuse_bytes)}` : ""}
        </h1>
        <p>
          {names[0]} → {names[1]}
          {values.hours === null ? "" : `, ${duration(values.hours * 3600)} apart`}
          {values.executable ? `; ${base(values.executable)}` : "; without the executable"}.
        </p>
      </section>
      <Part id="sums" title="Sums">
        <div class="table-box" role="region" aria-label="Sums of both profiles" tabIndex={0}>
          <table>
            <caption class="k-hidden">Sums</caption>
            <thead>
              <tr>
                <th scope="col">
                  <span class="k-hidden">what</span>
                </th>
                <th scope="col" class="right">
                  old
                </th>
                <th scope="col" class="right">
                  new
                </th>
                <th scope="col" class="right">
                  change
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map(([id, words, before, after]) => (
                <tr key={id} data-amount={id}>
                  <th scope="row">{words}</th>
                  <td class="right">
                    <Bytes n={before} />
                  </td>
                  <td class="right">
                    <Bytes n={after} />
                  </td>
                  <td class="right">
                    <Change n={after - before} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Part>
    </>
  );
}

function SuspectsPart({ values }: { values: DiffValues }) {
  const lists = [
    ["new", "New", values.new_suspects, values.new_suspects_rest, "bad"],
    ["same", "That stay", values.same_suspects, values.same_suspects_rest, "warn"],
    ["gone", "Gone", values.gone_suspects, values.gone_suspects_rest, "good"],
  ] as const;
  return (
    <Part id="suspects" title="Suspects" lead="A profile suspects, a snapshot decides.">
      {lists.every(([, , rows]) => !rows.length) ? <p class="good">None, in neither profile.</p> : null}
      {lists
        .filter(([, , rows]) => rows.length)
        .map(([id, words, rows, rest, tone]) => (
          <div key={id} class="k-grid" data-suspects={id}>
            <h3>
              {words} <span class="dim">{count(rows.length + rest)}</span>
            </h3>
            <Suspects rows={rows} rest={rest} tone={tone} />
          </div>
        ))}
    </Part>
  );
}

type Way = "all" | "grew" | "shrank";

function Moved({ pack, values, open, setOpen }: { pack: Pack; values: DiffValues; open: number | null; setOpen: (row: number | null) => void }) {
  const moves = pack.section("moves");
  const [way, setWay] = useState<Way>("all");
  const text = (name: string, row: number) => moves.col(name).text(row) ?? "";
  const number = (name: string, row: number) => moves.col(name).number(row);
  const change = (row: number) => number("new_bytes", row) - number("old_bytes", row);
  const all = useMemo(() => Array.from({ length: moves.rows }, (_, row) => row), [pack]);
  const rows = useMemo(() => all.filter((row) => (way === "all" ? true : way === "grew" ? change(row) > 0 : change(row) < 0)), [all, way]);
  const fields = useMemo<Field[]>(
    () => [
      { id: "change", head: "change", numeric: true, order: (row) => Math.abs(change(row)), cell: (row) => <Change n={change(row)} /> },
      {
        id: "function",
        head: "place and type",
        wide: true,
        order: (row) => text("function", row),
        cell: (row) => (
          <>
            <span class="mono">{text("function", row)}</span> <span class="dim">{place(text("file", row), number("line", row))}</span>
            <span class="dim k-below mono">{moves.col("type").text(row) ?? NO_TYPE}</span>
          </>
        ),
      },
      { id: "old", head: "old bytes", numeric: true, order: (row) => number("old_bytes", row), cell: (row) => <Bytes n={number("old_bytes", row)} /> },
      { id: "new", head: "new bytes", numeric: true, order: (row) => number("new_bytes", row), cell: (row) => <Bytes n={number("new_bytes", row)} /> },
      {
        id: "objects",
        head: "objects",
        numeric: true,
        order: (row) => number("new_objects", row) - number("old_objects", row),
        cell: (row) => signed(number("new_objects", row) - number("old_objects", row)),
      },
    ],
    [pack],
  );
  const largest = all.filter((row) => change(row)).slice(0, SHOWN);
  const most = Math.max(...largest.flatMap((row) => [number("old_bytes", row), number("new_bytes", row)]), 1);
  const show = (row: number) => {
    setWay("all");
    setOpen(row);
    requestAnimationFrame(() => document.querySelector(`#places [data-key="${row}"]`)?.scrollIntoView({ block: "nearest" }));
  };
  const rest = values.moves_rest;
  return (
    <Part id="moves" title="What moved" lead="Map memory in use by function and map type, so that lines may have moved between two builds.">
      {largest.length ? (
        <ol class="k-movers" aria-label="The largest movers">
          {largest.map((row) => {
            const [before, after] = [number("old_bytes", row), number("new_bytes", row)];
            return (
              <li key={row}>
                <button type="button" onClick={() => show(row)} data-mover={row}>
                  <span>
                    <span class="mono">{text("function", row)}</span>
                    <small class="mono">{moves.col("type").text(row) ?? NO_TYPE}</small>
                  </span>
                  <svg class="k-pair" viewBox="0 0 100 26" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="k-then" x="0" y="2" height="9" width={(100 * before) / most} />
                    <rect class={after > before ? "k-up" : "k-now"} x="0" y="14" height="9" width={(100 * after) / most} />
                  </svg>
                  <span class="num">
                    <Change n={after - before} />
                    <small>
                      {bytes(before)} → {bytes(after)}
                    </small>
                  </span>
                </button>
              </li>
            );
          })}
        </ol>
      ) : (
        <p>No place holds more or less map memory than it did.</p>
      )}
      {all.length ? (
        <>
          <Choice
            label="Which way"
            options={[
              ["all", `all ${count(all.length)}`],
              ["grew", `grew ${count(all.filter((row) => change(row) > 0).length)}`],
              ["shrank", `shrank ${count(all.filter((row) => change(row) < 0).length)}`],
            ]}
            value={way}
            change={setWay}
          />
          <Grid
            id="places"
            label="Places that moved"
            rows={rows}
            fields={fields}
            sort="change"
            text={(row) => `${text("function", row)} ${text("file", row)} ${text("type", row)}`}
            keys={String}
            details={(row) => (
              <dl class="facts">
                <div>
                  <dt>largest place of it</dt>
                  <dd class="mono">
                    {text("file", row) || "not known"}:{number("line", row)}
                  </dd>
                </div>
                <div>
                  <dt>objects</dt>
                  <dd>
                    <Count n={number("old_objects", row)} /> → <Count n={number("new_objects", row)} />
                  </dd>
                </div>
                <div>
                  <dt>bytes</dt>
                  <dd>
                    {count(number("old_bytes", row))} → {count(number("new_bytes", row))}
                  </dd>
                </div>
              </dl>
            )}
            open={open}
            setOpen={setOpen}
          />
        </>
      ) : null}
      <p class="dim">
        {plural(values.unchanged_sites, "place is", "places are")} unchanged.
        {rest.sites ? ` ${plural(rest.sites, "place")} that moved less: ${bytes(rest.old_bytes)} → ${bytes(rest.new_bytes)} together.` : ""}
      </p>
    </Part>
  );
}

register("profile-diff", ProfileDiff);

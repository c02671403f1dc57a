// The page of two snapshots: both side by side, and what moved between them.

import { useMemo, useState } from "preact/hooks";
import { Details, Movers } from "../diff/moves.tsx";
import { Findings } from "../diff/findings.tsx";
import { AMOUNTS, type Amounts, FATES, Moves, type Values } from "../diff/model.ts";
import { bytes, count, percent, plural } from "../format.ts";
import { apart, Change, Choice, Facts, Mark, Remarks, signed, useAnchors } from "../kinds/bits.tsx";
import { type Field, Grid } from "../kinds/grid.tsx";
import { type Links, Masthead } from "../parts/masthead.tsx";
import { Bytes, Count, Share } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { type PageProps, register } from "../registry.ts";
import "../style/kinds.css";

const LINKS: Links = [
  ["sides", "Side by side"],
  ["findings", "Findings"],
  ["moves", "What moved"],
  ["remarks", "Remarks"],
];

function Diff({ source }: PageProps) {
  const values = source.pack.values as unknown as Values;
  const moves = useMemo(() => new Moves(source.pack), [source]);
  const [open, setOpen] = useState<number | null>(null);
  useAnchors();
  const show = (row: number) => {
    setOpen(row);
    requestAnimationFrame(() => {
      const found = document.querySelector<HTMLElement>(`#maps [data-key="${moves.key(row)}"]`);
      found?.scrollIntoView({ block: "nearest" });
      found?.querySelector("button")?.focus({ preventScroll: true });
    });
  };
  return (
    <>
      <Masthead title="Two snapshots" pack={source.pack} links={LINKS} />
      <main id="main" tabIndex={-1}>
        <Verdict values={values} />
        <Sides values={values} />
        <Findings values={values} />
        <MovedMaps values={values} moves={moves} open={open} setOpen={setOpen} show={show} />
        <Remarks notes={[...values.warnings, ...missing(values)]} next={values.next} />
      </main>
    </>
  );
}

function missing(values: Values): string[] {
  return (["old", "new"] as const).flatMap((side) => [
    ...values[side].evidence.missing.map((text) => `${side}: ${text}`),
    ...values[side].evidence.warnings.map((text) => `${side}: ${text}`),
  ]);
}

function Verdict({ values }: { values: Values }) {
  const { change, then, now } = values;
  const news = values.findings.filter((one) => one.status === "new").length;
  const stalled = values.fates.stalled.total;
  const names = apart(values.old.evidence.path, values.new.evidence.path);
  const moved =
    change.bytes === 0
      ? "Maps take as much as they did"
      : `Maps take ${bytes(Math.abs(change.bytes))} ${change.bytes > 0 ? "more" : "less"}`;
  return (
    <section class="k-head" aria-labelledby="verdict-title">
      <h1 id="verdict-title">
        {moved}: {bytes(then.bytes)} → {bytes(now.bytes)}
      </h1>
      <p>
        {names[0]} → {names[1]}.{" "}
        {values.same_process
          ? `One process${values.collections ? `, ${plural(values.collections, "garbage collection")} apart` : ""}.`
          : values.same_build
            ? "Two processes of one build: maps are matched by chain and type."
            : "Two builds: maps are matched by chain and type."}{" "}
        {news ? <strong class="bad">{plural(news, "new finding")}.</strong> : "No new findings."}{" "}
        {stalled ? <strong class="warn">{plural(stalled, "growth")} stand{stalled === 1 ? "s" : ""} where it stood.</strong> : null}
      </p>
    </section>
  );
}

function Sides({ values }: { values: Values }) {
  const whole = Math.max(values.old.live_bytes, values.new.live_bytes, 1);
  const names = apart(values.old.evidence.path, values.new.evidence.path);
  return (
    <Part id="sides" title="Side by side">
      <div class="k-sides">
        {(["old", "new"] as const).map((side, at) => {
          const { process, live_bytes: live } = values[side];
          const sums = at ? values.now : values.then;
          const parts = values.parts[at] ?? [];
          return (
            <section key={side} class="card k-side" aria-label={`${side} snapshot`} data-side={side}>
              <h3>
                {at ? "New" : "Old"}: <span class="mono">{names[at]}</span>
              </h3>
              <Facts
                rows={[
                  ["maps", <Count n={sums.maps} />],
                  ["entries", <Count n={sums.entries} />],
                  ["map bytes", <Bytes n={sums.bytes} />],
                  ["beyond need", <Bytes n={sums.waste_bytes} />],
                  ["live heap", <Bytes n={live} />],
                  ["Go", process.go_version.replace(/^go/, "")],
                  ...(process.pid === null ? [] : [["pid", String(process.pid)] as const]),
                ]}
              />
              <div class="k-stacked" aria-hidden="true">
                {parts
                  .filter((part) => part.bytes > 0)
                  .map((part) => (
                    <span
                      key={part.id}
                      class={`fill-${part.id}`}
                      style={{ flexGrow: part.bytes / whole }}
                      title={`${part.label}: ${bytes(part.bytes)}, ${percent(part.bytes, live)}`}
                    />
                  ))}
                {live < whole ? <span style={{ flexGrow: (whole - live) / whole }} /> : null}
              </div>
              <table class="plain k-parts">
                <caption class="k-hidden">The live heap of the {side} snapshot in parts</caption>
                <tbody>
                  {parts.map((part) => (
                    <tr key={part.id} data-part={part.id}>
                      <th scope="row" title={part.why}>
                        <span class={`swatch fill-${part.id}`} aria-hidden="true" /> {part.label}
                      </th>
                      <td class="right">
                        <Bytes n={part.bytes} />
                      </td>
                      <td class="right">
                        {at ? (
                          <Change n={part.bytes - (values.parts[0]?.find((one) => one.id === part.id)?.bytes ?? 0)} />
                        ) : (
                          <Share of={part.bytes} whole={live} />
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          );
        })}
      </div>
      <div class="table-box" role="region" aria-label="Sums of all maps" tabIndex={0}>
        <table id="sums">
          <caption class="k-hidden">Sums of all maps</caption>
          <thead>
            <tr>
              <th scope="col">all maps</th>
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
            {AMOUNTS.map(([name, words, sized]) => (
              <tr key={name} data-amount={name}>
                <th scope="row">{words}</th>
                {[values.then, values.now].map((sums: Amounts, at) => (
                  <td key={at} class="right">
                    {sized ? <Bytes n={sums[name]} /> : <Count n={sums[name]} />}
                  </td>
                ))}
                <td class="right">
                  {sized ? (
                    <Change n={values.change[name]} />
                  ) : (
                    <span class="num" data-value={values.change[name]}>
                      {signed(values.change[name])}
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}

type Shown = "all" | "grown" | "shrunk" | "new" | "gone" | "stalled";

function MovedMaps({
  values,
  moves,
  open,
  setOpen,
  show,
}: {
  values: Values;
  moves: Moves;
  open: number | null;
  setOpen: (row: number | null) => void;
  show: (row: number) => void;
}) {
  const [fate, setFate] = useState<Shown>("all");
  const rows = useMemo(
    () => moves.rows.filter((row) => (fate === "all" ? true : fate === "stalled" ? moves.stalled(row) : moves.fate(row) === fate)),
    [moves, fate],
  );
  const fields = useMemo<Field[]>(
    () => [
      {
        id: "change",
        head: "change",
        numeric: true,
        order: (row) => Math.abs(moves.change(row, "bytes")),
        cell: (row) => <Change n={moves.change(row, "bytes")} />,
      },
      {
        id: "fate",
        head: "what",
        order: (row) => moves.fate(row),
        cell: (row) => (
          <>
            <Mark tone={FATES[moves.fate(row)] ?? ""}>{moves.fate(row)}</Mark> {moves.stalled(row) ? <Mark tone="warn">stalled</Mark> : null}
          </>
        ),
      },
      {
        id: "type",
        head: "type, and who holds it",
        wide: true,
        order: (row) => moves.type(row),
        cell: (row) => (
          <>
            <span class="mono">{moves.type(row)}</span>
            <span class="dim k-below">{moves.owner(row)}</span>
          </>
        ),
      },
      ...(["then", "now"] as const).map(
        (side): Field => ({
          id: side,
          head: side === "then" ? "old bytes" : "new bytes",
          numeric: true,
          order: (row) => moves.amount(row, "bytes", side),
          cell: (row) => <Bytes n={moves.amount(row, "bytes", side)} />,
        }),
      ),
      {
        id: "entries",
        head: "entries",
        numeric: true,
        order: (row) => Math.abs(moves.change(row, "entries")),
        cell: (row) => signed(moves.change(row, "entries")),
      },
      {
        id: "maps",
        head: "maps",
        numeric: true,
        order: (row) => moves.amount(row, "maps", "now"),
        cell: (row) => count(Math.max(moves.amount(row, "maps", "now"), moves.amount(row, "maps", "then"))),
      },
    ],
    [moves],
  );
  const options: (readonly [Shown, string])[] = [
    ["all", "all"],
    ...(["grown", "shrunk", "new", "gone", "stalled"] as const).map((one) => [one, `${one} ${count(values.fates[one].total)}`] as const),
  ];
  const rest = (["grown", "shrunk", "new", "gone"] as const).reduce((sum, one) => sum + values.fates[one].total - values.fates[one].shown, 0);
  const lists = (["grown", "new", "shrunk", "gone"] as const).filter((one) => values.fates[one].total);
  if (!moves.rows.length) {
    return (
      <Part id="moves" title="What moved">
        <p>Every map is as it was.</p>
      </Part>
    );
  }
  return (
    <Part id="moves" title="What moved" lead="The largest movers on one scale: a click opens the details in the table below.">
      <Movers moves={moves} show={(row) => (setFate("all"), show(row))} />
      <ul class="legend" aria-label="Sums">
        {lists.map((one) => (
          <li key={one} data-fate={one}>
            {one} {count(values.fates[one].total)}: <Change n={values.fates[one].change.bytes} />,{" "}
            {signed(values.fates[one].change.entries)} entries
          </li>
        ))}
      </ul>
      <Choice label="What became of the maps" options={options} value={fate} change={setFate} />
      <Grid
        id="maps"
        label="Maps that moved"
        rows={rows}
        fields={fields}
        sort="change"
        text={(row) => `${moves.type(row)} ${moves.words(row)}`}
        details={(row) => <Details moves={moves} row={row} />}
        keys={(row) => moves.key(row)}
        open={open}
        setOpen={setOpen}
      />
      {rest ? <p class="dim">{plural(rest, "map or group", "maps or groups")} that moved less are in the sums above only: <code>-f json --top 0</code> lists them.</p> : null}
    </Part>
  );
}

register("diff", Diff);

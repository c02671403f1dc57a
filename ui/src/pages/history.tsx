// The page of one service over time: indicators of its instances, places, findings from their beginning to their end.

import { useMemo, useState } from "preact/hooks";
import { bytes, count, duration, percent, plural } from "../format.ts";
import { base, Choice, Mark, place, Remarks, Tiles, Told, useAnchors } from "../kinds/bits.tsx";
import { clock, stamp } from "../kinds/clock.ts";
import { type Field, Grid } from "../kinds/grid.tsx";
import { joined } from "../kinds/joined.ts";
import { Plot } from "../kinds/plot.tsx";
import type { Pack } from "../pack.ts";
import { type Links, Masthead } from "../parts/masthead.tsx";
import { Bytes } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { value as shown } from "../profile/indicators.tsx";
import { NO_TYPE } from "../profile/model.ts";
import { type PageProps, register } from "../registry.ts";
import "../style/kinds.css";

interface Finding {
  instance: string;
  indicator: string;
  function: string;
  file: string;
  line: number;
  type: string | null;
  told: string;
  bytes: number | null;
  goroutines: number | null;
  began: number;
  last: number;
  ended: number | null;
}

interface Values {
  service: string;
  store: string;
  since: number;
  until: number;
  instances: { instance: string; profiles: number; first: number; last: number }[];
  findings: Finding[];
  findings_rest: number;
  profiles: { instance: string; kind: string; time: number; raw_bytes: number; stored_bytes: number }[];
  profiles_rest: number;
  series_rest: number;
  places_rest: number;
  thinned: boolean;
  notes: string[];
  next: string[];
}

const ORDER = ["P1", "P1s", "P2", "P3", "P4", "P5", "P7", "heap_inuse_bytes", "goroutines", "heap_alloc_bytes"];
const SHOWN = 8;

function History({ source }: PageProps) {
  const { pack } = source;
  const values = pack.values as unknown as Values;
  useAnchors();
  const links: Links = (
    [
      ["indicators", "Indicators", pack.section("indicators").rows],
      ["places", "Places", pack.section("places").rows],
      ["findings", "Findings", 1],
      ["profiles", "Profiles", values.profiles.length],
      ["remarks", "Remarks", values.notes.length + values.next.length],
    ] as const
  )
    .filter(([, , there]) => there)
    .map(([id, words]) => [id, words] as const);
  return (
    <>
      <Masthead title="History" pack={pack} links={links} />
      <main id="main" tabIndex={-1}>
        <Verdict values={values} />
        <Indicators pack={pack} values={values} />
        <Places pack={pack} values={values} />
        <Findings values={values} />
        <Profiles values={values} />
        <Remarks notes={values.notes} next={values.next} />
      </main>
    </>
  );
}

function Verdict({ values }: { values: Values }) {
  const lasting = values.findings.filter((one) => one.ended === null).length;
  return (
    <section class="k-head" aria-labelledby="verdict-title">
      <h1 id="verdict-title">{values.service}</h1>
      <p>
        {duration(values.until - values.since)} to {stamp(values.until)}; from <span class="mono">{base(values.store)}</span>.{" "}
        {lasting ? <strong class="bad">{plural(lasting, "finding")} that last{lasting === 1 ? "s" : ""}.</strong> : <span class="good">No finding lasts.</span>}
      </p>
      <Tiles
        tiles={[
          { id: "instances", name: "instances", value: count(values.instances.length) },
          { id: "profiles", name: "profiles", value: count(values.instances.reduce((sum, one) => sum + one.profiles, 0)) },
          { id: "findings", name: "findings in this time", value: count(values.findings.length + values.findings_rest), more: `${count(lasting)} last` },
        ]}
      />
      <div class="table-box" role="region" aria-label="Instances" tabIndex={0}>
        <table id="instances">
          <thead>
            <tr>
              <th scope="col">instance</th>
              <th scope="col" class="right">
                profiles
              </th>
              <th scope="col">first</th>
              <th scope="col">last</th>
            </tr>
          </thead>
          <tbody>
            {values.instances.map((one) => (
              <tr key={one.instance} data-instance={one.instance}>
                <th scope="row" class="mono">
                  {one.instance}
                </th>
                <td class="right num">{count(one.profiles)}</td>
                <td class="num">{stamp(one.first)}</td>
                <td class="num">{stamp(one.last)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** A column of numbers between two rows. */
function slice(pack: Pack, section: string, column: string, from: number, to: number): number[] {
  const found = pack.section(section).col(column);
  return Array.from({ length: to - from }, (_, at) => found.number(from + at));
}

function Indicators({ pack, values }: { pack: Pack; values: Values }) {
  const known = pack.section("indicators");
  const ids = useMemo(() => {
    const found = new Map<string, { title: string; unit: string }>();
    for (let row = 0; row < known.rows; row++) {
      found.set(known.col("id").text(row) ?? "", { title: known.col("title").text(row) ?? "", unit: known.col("unit").text(row) ?? "" });
    }
    return [...found].sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b));
  }, [pack]);
  const [id, set] = useState(ids[0]?.[0] ?? "");
  const about = ids.find(([one]) => one === id)?.[1];
  const { axis, places, lines } = useMemo(() => {
    const rows = Array.from({ length: known.rows }, (_, row) => row).filter((row) => known.col("id").text(row) === id);
    const measured = rows.map((row) => {
      const [from, to] = [row ? known.col("end").number(row - 1) : 0, known.col("end").number(row)];
      return { x: slice(pack, "values", "seconds", from, to), y: slice(pack, "values", "value", from, to) };
    });
    const { places, values } = joined(measured);
    const lines = rows.map((row, at) => ({
      id: String(row),
      label: known.col("instance").text(row) ?? "",
      values: values[at] ?? [],
      colour: at,
      shown: at < SHOWN,
    }));
    const axis = clock(places);
    return { axis, places: places.map((one) => one - axis.zero), lines };
  }, [pack, id]);
  if (!about) return null;
  return (
    <Part id="indicators" title="Indicators" lead="One indicator of every instance; docs/reference/indicators.md says what each can show.">
      <Choice label="Which indicator" options={ids.map(([one, { title }]) => [one, title] as const)} value={id} change={set} />
      <Plot
        key={id}
        id="indicator"
        label={about.title}
        places={places}
        lines={lines}
        across={axis}
        up={{ label: about.title, text: (value) => (about.unit === "ratio" && id === "P1s" ? percent(value, 1) || "0 %" : shown(value, about.unit)) }}
      />
      {values.thinned ? <p class="dim">Long lines are thinned evenly on this page; <code>-f csv</code> has all points.</p> : null}
      {values.series_rest ? <p class="dim">{plural(values.series_rest, "more line")} of other instances are not on this page.</p> : null}
    </Part>
  );
}

function Places({ pack, values }: { pack: Pack; values: Values }) {
  const known = pack.section("places");
  const many = values.instances.length > 1;
  const { axis, places, lines } = useMemo(() => {
    const rows = Array.from({ length: known.rows }, (_, row) => row);
    const measured = rows.map((row) => {
      const [from, to] = [row ? known.col("end").number(row - 1) : 0, known.col("end").number(row)];
      return { x: slice(pack, "place_values", "seconds", from, to), y: slice(pack, "place_values", "bytes", from, to) };
    });
    const { places, values } = joined(measured);
    const lines = rows.map((row, at) => ({
      id: String(row),
      label: [known.col("function").text(row), known.col("type").text(row) ?? NO_TYPE, ...(many ? [known.col("instance").text(row)] : [])].join("  "),
      values: values[at] ?? [],
      colour: at,
      shown: at < SHOWN,
    }));
    const axis = clock(places);
    return { axis, places: places.map((one) => one - axis.zero), lines };
  }, [pack]);
  if (!known.rows) return null;
  return (
    <Part id="places" title="Places over time" lead="Map bytes in use by function and map type. A profile in which a place was not among the largest has no point of it.">
      <Plot id="place" label="Map bytes in use by place" places={places} lines={lines} across={axis} up={{ label: "bytes in use", text: (value) => bytes(Math.round(value)) }} />
      {values.places_rest ? <p class="dim">{plural(values.places_rest, "smaller place")}: <code>-f json</code> lists them.</p> : null}
    </Part>
  );
}

function Findings({ values }: { values: Values }) {
  const rows = values.findings;
  const all = useMemo(() => rows.map((_, row) => row), [rows]);
  const of = (row: number) => rows[row] as Finding;
  const span = Math.max(values.until - values.since, 1);
  const part = (seconds: number) => (100 * Math.min(Math.max(seconds - values.since, 0), span)) / span;
  const fields = useMemo<Field[]>(
    () => [
      { id: "indicator", head: "what", order: (row) => of(row).indicator, cell: (row) => <span class="rule">{of(row).indicator}</span> },
      {
        id: "where",
        head: "place and type",
        wide: true,
        order: (row) => of(row).function,
        cell: (row) => (
          <>
            <span class="mono">{of(row).function}</span> <span class="dim">{place(of(row).file, of(row).line)}</span>
            <span class="dim k-below mono">{of(row).type ?? NO_TYPE}</span>
          </>
        ),
      },
      { id: "instance", head: "instance", order: (row) => of(row).instance, cell: (row) => <span class="mono">{of(row).instance}</span> },
      {
        id: "size",
        head: "how much",
        numeric: true,
        order: (row) => of(row).bytes ?? of(row).goroutines ?? 0,
        cell: (row) => {
          const { bytes: size, goroutines } = of(row);
          return size !== null ? <Bytes n={size} /> : plural(goroutines ?? 0, "goroutine");
        },
      },
      { id: "began", head: "began", numeric: true, order: (row) => of(row).began, cell: (row) => stamp(of(row).began) },
      {
        id: "ended",
        head: "ended",
        order: (row) => of(row).ended ?? Number.MAX_VALUE,
        cell: (row) => {
          const { ended } = of(row);
          return ended === null ? <Mark tone="bad">lasts</Mark> : <span class="num">{stamp(ended)}</span>;
        },
      },
      {
        id: "span",
        head: "in this time",
        cell: (row) => {
          const one = of(row);
          const from = part(one.began);
          return (
            <svg class="k-span" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect class="k-then" x="0" y="4" width="100" height="2" />
              <rect class={one.ended === null ? "k-up" : "k-now"} x={from} y="1" width={Math.max(part(one.ended ?? one.last) - from, 1)} height="8" />
            </svg>
          );
        },
      },
      { id: "told", head: "told", order: (row) => of(row).told, cell: (row) => <Told how={of(row).told} /> },
    ],
    [values],
  );
  if (!rows.length) {
    return (
      <Part id="findings" title="Findings">
        <p class="good">None in this time.</p>
      </Part>
    );
  }
  return (
    <Part id="findings" title="Findings" lead="What was suspected, from when to when. A profile suspects, a snapshot decides.">
      <Grid
        id="lasting"
        label="Findings with their beginning and end"
        rows={all}
        fields={fields}
        sort="began"
        text={(row) => `${of(row).indicator} ${of(row).function} ${of(row).type ?? ""} ${of(row).instance}`}
        filters={[
          { id: "indicator", label: "What", of: (row) => of(row).indicator },
          { id: "instance", label: "Instance", of: (row) => of(row).instance },
          { id: "state", label: "State", of: (row) => (of(row).ended === null ? "lasts" : "ended") },
        ]}
        keys={String}
      />
      {values.findings_rest ? <p class="dim">{plural(values.findings_rest, "older finding")}: <code>-f json</code> lists them.</p> : null}
    </Part>
  );
}

function Profiles({ values }: { values: Values }) {
  const rows = values.profiles;
  const all = useMemo(() => rows.map((_, row) => row), [rows]);
  const of = (row: number) => rows[row] as Values["profiles"][number];
  const fields = useMemo<Field[]>(
    () => [
      { id: "time", head: "taken", numeric: true, order: (row) => of(row).time, cell: (row) => stamp(of(row).time) },
      { id: "instance", head: "instance", order: (row) => of(row).instance, cell: (row) => <span class="mono">{of(row).instance}</span> },
      { id: "kind", head: "kind", order: (row) => of(row).kind, cell: (row) => of(row).kind },
      { id: "raw", head: "bytes", numeric: true, order: (row) => of(row).raw_bytes, cell: (row) => <Bytes n={of(row).raw_bytes} /> },
      { id: "stored", head: "stored", numeric: true, order: (row) => of(row).stored_bytes, cell: (row) => <Bytes n={of(row).stored_bytes} /> },
    ],
    [rows],
  );
  if (!rows.length) return null;
  return (
    <Part id="profiles" title="Profiles that are kept" lead="Each can still be had: mapscope history SERVICE --at TIME -f pprof.">
      <Grid id="kept" label="Profiles of this service" rows={all} fields={fields} sort="time" text={(row) => `${of(row).instance} ${of(row).kind}`} />
      {values.profiles_rest ? <p class="dim">{plural(values.profiles_rest, "older profile")} more.</p> : null}
    </Part>
  );
}

register("history", History);

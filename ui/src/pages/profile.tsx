// The page of profiles: what of their memory maps hold, where it is made, what is suspect, and how it moves.

import { useMemo, useState } from "preact/hooks";
import { bytes, count, percent, plural } from "../format.ts";
import { base, Choice, Facts, place, Remarks, Tiles, Told, useAnchors } from "../kinds/bits.tsx";
import { Flame } from "../kinds/flame.tsx";
import { type Field, Grid } from "../kinds/grid.tsx";
import type { Pack } from "../pack.ts";
import { Masthead } from "../parts/masthead.tsx";
import { Bar, Bytes, Count, Share } from "../parts/numbers.tsx";
import { Part } from "../parts/section.tsx";
import { Goroutines, Loops } from "../profile/goroutines.tsx";
import { Article, Indicators } from "../profile/indicators.tsx";
import { NO_TYPE, type ProfileValues } from "../profile/model.ts";
import { Series } from "../profile/series.tsx";
import { Suspects } from "../profile/suspects.tsx";
import { type PageProps, register } from "../registry.ts";
import "../style/kinds.css";

function Profile({ source }: PageProps) {
  const { pack } = source;
  const values = pack.values as unknown as ProfileValues;
  const [words, setWords] = useState<string | null>(null);
  useAnchors();
  const links = (
    [
      ["series", "Over time", !!values.series],
      ["suspects", "Suspects", values.newest !== null],
      ["indicators", "Indicators", values.indicators.length > 0],
      ["places", "Places", values.newest !== null],
      ["stacks", "Stacks", values.newest !== null],
      ["sizes", "Sizes", values.sizes.length > 0],
      ["loops", "Loops", values.loops.length > 0],
      ["goroutines", "Goroutines", values.goroutines.length > 0],
      ["article", "The article's", values.article.length > 0],
      ["remarks", "Remarks", values.notes.length + values.next.length > 0],
    ] as const
  )
    .filter(([, , there]) => there)
    .map(([id, name]) => [id, name] as const);
  return (
    <>
      <Masthead title={values.series ? "Profiles over time" : "Profile"} pack={pack} links={links} />
      <main id="main" tabIndex={-1}>
        <Verdict values={values} />
        <Series pack={pack} values={values} />
        {values.newest === null ? null : (
          <Part id="suspects" title="Suspects" lead="A profile suspects, a snapshot decides.">
            {values.suspects.length ? <Suspects rows={values.suspects} rest={values.suspects_rest} /> : <p class="good">None.</p>}
          </Part>
        )}
        <Indicators rows={values.indicators} />
        {values.newest === null ? null : (
          <>
            <Places pack={pack} values={values} words={words} />
            <Stacks
              pack={pack}
              pick={(name) => {
                setWords(name);
                document.getElementById("places")?.scrollIntoView();
              }}
            />
            <Sizes values={values} />
          </>
        )}
        <Loops rows={values.loops} rest={values.loops_rest} />
        <Goroutines rows={values.goroutines} />
        <Article rows={values.article} />
        <Remarks notes={values.notes} next={values.next} />
      </main>
    </>
  );
}

function Verdict({ values }: { values: ProfileValues }) {
  const { heap, maps, newest, profiles } = values;
  if (newest === null) {
    return (
      <section class="k-head" aria-labelledby="verdict-title">
        <h1 id="verdict-title">{plural(values.goroutines.reduce((sum, one) => sum + one.total, 0), "goroutine")}, no heap profile</h1>
        <p>{profiles.map((one) => base(one.origin)).join(", ")}</p>
      </section>
    );
  }
  const known = Object.values(values.told).reduce((sum, size) => sum + size, 0) > 0 || values.executable !== null;
  return (
    <section class="k-head" aria-labelledby="verdict-title">
      <h1 id="verdict-title">
        {known ? `Maps hold ${bytes(maps.inuse_bytes)}, ${percent(maps.inuse_bytes, heap.inuse_bytes) || "0 %"} of the heap in use` : "How much maps hold is not known"}
      </h1>
      <p>
        {base(newest)}
        {profiles.length > 1 ? `, the newest of ${plural(profiles.filter((one) => one.kind === "heap").length, "heap profile")}` : ""}
        {values.executable ? `; ${base(values.executable)}, ${values.go_version ?? ""}` : "; without the executable"}.{" "}
        {values.suspects.length + values.suspects_rest ? (
          <strong class="bad">{plural(values.suspects.length + values.suspects_rest, "suspect")}.</strong>
        ) : (
          <span class="good">No suspects.</span>
        )}
      </p>
      <Tiles
        tiles={[
          { id: "maps", name: "map memory in use", value: <Bytes n={maps.inuse_bytes} />, more: <>{plural(maps.inuse_objects, "object")}</> },
          { id: "heap", name: "heap in use", value: <Bytes n={heap.inuse_bytes} />, more: <>{plural(heap.inuse_objects, "object")}</> },
          { id: "alloc", name: "maps allocated since the start", value: <Bytes n={maps.alloc_bytes} />, more: <>{plural(maps.alloc_objects, "object")}</> },
          {
            id: "told",
            name: "how sure the part of maps is",
            value: percent(values.told["exact"] ?? 0, maps.inuse_bytes) === "100 %" ? "exact" : Object.keys(values.told).filter((how) => values.told[how]).join(", ") || "–",
            more: Object.entries(values.told)
              .filter(([, size]) => size)
              .map(([how, size]) => `${how} ${bytes(size)}`)
              .join(", "),
          },
        ]}
      />
      {values.parts.length ? (
        <div class="table-box" role="region" aria-label="Map memory by part" tabIndex={0}>
          <table id="parts">
            <caption class="k-hidden">Map memory by part</caption>
            <thead>
              <tr>
                <th scope="col">part</th>
                <th scope="col" class="right">
                  in use
                </th>
                <th scope="col">
                  <span class="k-hidden">share</span>
                </th>
                <th scope="col" class="right">
                  objects
                </th>
                <th scope="col" class="right">
                  allocated
                </th>
              </tr>
            </thead>
            <tbody>
              {values.parts.map((one) => (
                <tr key={one.part} data-part={one.part}>
                  <th scope="row">{one.part}</th>
                  <td class="right">
                    <Bytes n={one.sums.inuse_bytes} />
                  </td>
                  <td>
                    <Bar of={one.sums.inuse_bytes} whole={maps.inuse_bytes} /> <Share of={one.sums.inuse_bytes} whole={maps.inuse_bytes} />
                  </td>
                  <td class="right">
                    <Count n={one.sums.inuse_objects} />
                  </td>
                  <td class="right">
                    <Bytes n={one.sums.alloc_bytes} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </section>
  );
}

function Places({ pack, values, words }: { pack: Pack; values: ProfileValues; words: string | null }) {
  const sites = pack.section("sites");
  const functions = pack.section("functions");
  const text = (name: string, row: number) => sites.col(name).text(row) ?? "";
  const cum = useMemo(() => {
    const found = new Map<string, number>();
    for (let row = 0; row < functions.rows; row++) found.set(functions.col("function").text(row) ?? "", functions.col("cum_bytes").number(row));
    return found;
  }, [pack]);
  const rows = useMemo(() => Array.from({ length: sites.rows }, (_, row) => row), [pack]);
  const number = (name: string) => (row: number) => sites.col(name).number(row);
  const above = (row: number) => cum.get(text("function", row)) ?? 0;
  const fields = useMemo<Field[]>(
    () => [
      { id: "flat", head: "flat", numeric: true, order: number("inuse_bytes"), cell: (row) => <Bytes n={number("inuse_bytes")(row)} /> },
      { id: "cum", head: "cum", numeric: true, order: above, cell: (row) => (cum.has(text("function", row)) ? <Bytes n={above(row)} /> : "–") },
      {
        id: "function",
        head: "place and type",
        wide: true,
        order: (row) => text("function", row),
        cell: (row) => (
          <>
            <span class="mono">{text("function", row)}</span> <span class="dim">{place(sites.col("file").text(row), number("line")(row))}</span>
            <span class="dim k-below mono">{sites.col("type").text(row) ?? NO_TYPE}</span>
          </>
        ),
      },
      { id: "part", head: "part", order: (row) => text("part", row), cell: (row) => text("part", row) },
      { id: "told", head: "told", order: (row) => text("told", row), cell: (row) => <Told how={text("told", row)} /> },
      { id: "objects", head: "objects", numeric: true, order: number("inuse_objects"), cell: (row) => count(number("inuse_objects")(row)) },
      { id: "allocated", head: "allocated", numeric: true, order: number("alloc_bytes"), cell: (row) => <Bytes n={number("alloc_bytes")(row)} /> },
      {
        id: "ratio",
        head: "to live",
        numeric: true,
        order: (row) => (number("inuse_bytes")(row) ? number("alloc_bytes")(row) / number("inuse_bytes")(row) : -1),
        cell: (row) => (number("inuse_bytes")(row) ? `${(number("alloc_bytes")(row) / number("inuse_bytes")(row)).toFixed(1)}×` : "–"),
      },
    ],
    [pack],
  );
  const rest = values.sites_rest;
  return (
    <Part
      id="places"
      title="Places"
      lead="Where map memory is made. Flat: what the place itself made, as that part and type. Cum: all map memory below its function."
    >
      <Grid
        key={words ?? ""}
        id="sites"
        label="Places that make map memory"
        rows={rows}
        fields={fields}
        sort="flat"
        {...(words === null ? {} : { first: words })}
        text={(row) => ["function", "file", "type", "part", "entry"].map((name) => text(name, row)).join(" ")}
        filters={[
          { id: "part", label: "Part", of: (row) => text("part", row) },
          { id: "told", label: "Told", of: (row) => text("told", row) },
        ]}
        keys={(row) => String(row)}
        details={(row) => <PlaceDetails pack={pack} row={row} />}
      />
      {rest.sites ? (
        <p class="dim">
          {plural(rest.sites, "smaller place")} with <Bytes n={rest.inuse_bytes} /> in use are in the sums only.
        </p>
      ) : null}
    </Part>
  );
}

function PlaceDetails({ pack, row }: { pack: Pack; row: number }) {
  const sites = pack.section("sites");
  const stacks = pack.section("stacks");
  const frames = pack.section("frames");
  const from = row ? stacks.col("end").number(row - 1) : 0;
  const to = row < stacks.rows ? stacks.col("end").number(row) : from;
  const left = row < stacks.rows ? stacks.col("frames").number(row) - (to - from) : 0;
  const samples = stacks.col("of").number(row);
  return (
    <>
      <Facts
        rows={[
          ["file", `${sites.col("file").text(row) || "not known"}:${sites.col("line").number(row)}`],
          ["called", <span class="mono">{sites.col("entry").text(row)}</span>],
          ["in use", <Bytes n={sites.col("inuse_bytes").number(row)} />],
          ["allocated", <Bytes n={sites.col("alloc_bytes").number(row)} />],
          ["objects allocated", <Count n={sites.col("alloc_objects").number(row)} />],
        ]}
      />
      {row < stacks.rows ? (
        <>
          <h3 class="k-small">
            {samples > 1 ? `The largest of its ${plural(samples, "stack")}, ` : "Its stack, "}
            {bytes(stacks.col("bytes").number(row))} in use; the runtime's own frames put back
          </h3>
          <ol class="stack">
            {Array.from({ length: to - from }, (_, at) => (
              <li key={at}>
                <span class="mono">{frames.col("name").text(from + at)}</span>
                {frames.col("runtime").number(from + at) ? <span class="tag">runtime</span> : null}
              </li>
            ))}
            {left > 0 ? <li class="dim">and {plural(left, "more frame")}</li> : null}
          </ol>
        </>
      ) : (
        <p class="dim">The stacks of the largest {count(stacks.rows)} places are kept.</p>
      )}
    </>
  );
}

function Stacks({ pack, pick }: { pack: Pack; pick: (name: string) => void }) {
  const [measure, set] = useState<"inuse_bytes" | "alloc_bytes">("inuse_bytes");
  const section = pack.section("flame");
  const functions = pack.section("functions");
  const rows = useMemo(() => Array.from({ length: functions.rows }, (_, row) => row), [pack]);
  const size = (name: string) => (row: number) => functions.col(name).number(row);
  const fields = useMemo<Field[]>(
    () => [
      ...(
        [
          ["flat_bytes", "flat"],
          ["cum_bytes", "cum"],
          ["flat_alloc_bytes", "flat allocated"],
          ["cum_alloc_bytes", "cum allocated"],
        ] as const
      ).map(([name, head]): Field => ({ id: name, head, numeric: true, order: size(name), cell: (row) => <Bytes n={size(name)(row)} /> })),
      {
        id: "function",
        head: "function",
        wide: true,
        order: (row) => functions.col("function").text(row) ?? "",
        cell: (row) => <span class="mono">{functions.col("function").text(row)}</span>,
      },
    ],
    [pack],
  );
  return (
    <Part
      id="stacks"
      title="Stacks"
      lead="Map memory by stack, callers above. Go hides its own frames at the leaf of heap profiles; they are put back here, with the part of the map below them."
    >
      {section.rows ? (
        <>
          <Choice
            label="What the boxes show"
            options={[
              ["inuse_bytes", "in use"],
              ["alloc_bytes", "allocated since the start"],
            ]}
            value={measure}
            change={set}
          />
          <Flame key={measure} section={section} measure={measure} words="Map memory" pick={pick} />
          <details>
            <summary>The same by function, as a table</summary>
            <Grid id="functions" label="Functions" rows={rows} fields={fields} sort="cum_bytes" text={(row) => functions.col("function").text(row) ?? ""} />
          </details>
        </>
      ) : (
        <p>No sample of this profile is known to be memory of a map.</p>
      )}
    </Part>
  );
}

function Sizes({ values }: { values: ProfileValues }) {
  const { sizes } = values;
  const rows = useMemo(() => sizes.map((_, row) => row), [sizes]);
  const fields = useMemo<Field[]>(
    () => [
      { id: "size", head: "bytes of one", numeric: true, order: (row) => sizes[row]?.size_bytes ?? 0, cell: (row) => count(sizes[row]?.size_bytes ?? 0) },
      { id: "objects", head: "objects", numeric: true, order: (row) => sizes[row]?.inuse_objects ?? 0, cell: (row) => count(sizes[row]?.inuse_objects ?? 0) },
      { id: "inuse", head: "in use", numeric: true, order: (row) => sizes[row]?.inuse_bytes ?? 0, cell: (row) => <Bytes n={sizes[row]?.inuse_bytes ?? 0} /> },
      { id: "part", head: "part", order: (row) => sizes[row]?.part ?? "", cell: (row) => sizes[row]?.part },
      { id: "type", head: "type", wide: true, order: (row) => sizes[row]?.type ?? "", cell: (row) => <span class="mono">{sizes[row]?.type ?? NO_TYPE}</span> },
    ],
    [sizes],
  );
  if (!sizes.length) return null;
  return (
    <Part id="sizes" title="Sizes" lead="Map memory in use by the size of one allocation (P6): arrays of one type double from growth to growth.">
      <Grid id="by-size" label="Map memory by size of an allocation" rows={rows} fields={fields} sort="inuse" />
      {values.sizes_rest ? <p class="dim">{plural(values.sizes_rest, "smaller size")} more.</p> : null}
    </Part>
  );
}

register("profile", Profile);
